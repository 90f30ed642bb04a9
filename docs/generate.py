"""Write what is made from the code: the pages of configuration, command line and JSON schemas.

    python docs/generate.py

`make docs` runs it; tests/test_docs.py fails when a page differs from what it would write.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer

from edgeseg.cli.app import app
from edgeseg.config import SiteConfig
from edgeseg.config.reference import Setting, fill_in_meanings, tables, toml_value
from edgeseg.json_text import to_json
from edgeseg.runtime.written_formats import WRITTEN_FORMATS, Schema, json_schema

FOLDER = Path(__file__).parent
NOTE = "<!-- Made by `make docs` from the code; change the text there. -->"
PLACEHOLDERS = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}
Command = Any  # Typer's own command classes are not public

CONFIGURATION = """# Configuration

`edgeseg.toml` in the folder of a site holds every setting. `edgeseg init` writes one with each key,
its meaning and its default, commented out. Any key can be set for one command alone with
`--set train.steps=2000`, and flags such as `--steps` set the usual ones. The complete configuration
of a run is saved beside its result as `config.toml`. Unknown keys and impossible values are
refused, all of them at once.
"""

COMMAND_LINE = """# Command line

Each command looks for the site in the working directory or above it, as git does. Data goes to
standard output, everything else to standard error; `--json` prints JSON for scripts. A mistake ends
in one sentence and exit code 1. `edgeseg COMMAND --help` shows the same text as this page.
"""

JSON_SCHEMAS = """# JSON schemas

What `edgeseg infer` writes and reads as JSON has a schema (2020-12), made from the code that writes
it. A device without this documentation prints the same:

```bash
edgeseg schema
edgeseg schema frame-line > frame-line.json
```

Text is UTF-8, and every number is finite: what is no number is null. Lines and figures may gain
keys in later versions; a manifest and the header of a record change only with their number.
"""


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    schemas = {
        f"formats/schemas/{name}.json": to_json(json_schema(name), indent=2) + "\n"
        for name in WRITTEN_FORMATS
    }
    return {
        "configuration.md": configuration_page(),
        "command-line.md": command_line_page(),
        "formats/json-schemas.md": schemas_page(),
        **schemas,
    }


def schemas_page() -> str:
    """Return the page of what is written as JSON, one section per schema."""
    parts = [JSON_SCHEMAS.replace("\n\n", f"\n\n{NOTE}\n\n", 1)]
    for name, written in WRITTEN_FORMATS.items():
        schema = json_schema(name)
        parts.append(f"## {written.title}\n\n[{name}.json](schemas/{name}.json)\n")
        inner = schema.get("$defs", {})
        for title, table in {"": schema, **inner}.items():
            if title:
                parts.append(f"`{title}`: {table['description']}\n")
            rows = [_schema_row(key, of_key, table) for key, of_key in table["properties"].items()]
            parts.append(_table(("key", "type", "meaning"), rows))
    return "\n".join(parts)


def _schema_row(key: str, of_key: Schema, table: Schema) -> tuple[str, ...]:
    missing = "" if key in table["required"] else "; may be absent"
    return f"`{key}`", f"{_in_words(of_key)}{missing}", of_key["description"]


def _in_words(kind: Schema) -> str:
    """Return the type of a value in words, such as "number 0..1, or null"."""
    if "anyOf" in kind:
        return ", or ".join(_in_words(each) for each in kind["anyOf"])
    if "$ref" in kind:
        return f"`{kind['$ref'].rsplit('/', 1)[1]}`"
    if "const" in kind or "enum" in kind:
        return ", ".join(f"`{each}`" for each in kind.get("enum") or [kind["const"]])
    if kind["type"] == "array":
        return f"list of {_in_words(kind['items'])}"
    if kind["type"] == "object":
        of_each = kind.get("additionalProperties")
        return f"object, each value {_in_words(of_each)}" if isinstance(of_each, dict) else "object"
    words: str = kind["type"]
    if "maximum" in kind and "minimum" in kind:
        words += f" {kind['minimum']}..{kind['maximum']}"
    elif "minimum" in kind:
        words += f" from {kind['minimum']}"
    elif "exclusiveMinimum" in kind:
        words += f" above {kind['exclusiveMinimum']}"
    return words


def configuration_page() -> str:
    """Return the page of all keys, one section per table of `edgeseg.toml`."""
    fields = SiteConfig.model_fields
    parts = [
        CONFIGURATION.replace("\n\n", f"\n\n{NOTE}\n\n", 1),
        "## The site\n",
        _table(
            ("key", "values", "meaning"),
            [
                ("`name`", "text", fields["name"].description or ""),
                (
                    "`classes`",
                    'list of `{ name = "water", color = "#56b4e9" }`, 2 to 64',
                    fields["classes"].description or "",
                ),
            ],
        ),
    ]
    for table in tables():
        parts.append(f"## `[{table.path}]`\n\n{table.meaning}\n")
        head = ("key", "values", "default", "unit", "meaning")
        parts.append(_table(head, [_setting_row(setting) for setting in table.settings]))
    return "\n".join(parts)


def _setting_row(setting: Setting) -> tuple[str, ...]:
    default = "unset" if setting.default is None else f"`{toml_value(setting.default)}`"
    values = re.sub(r'"[^"]*"', r"`\g<0>`", setting.values)
    return f"`{setting.path}`", values, default, setting.unit, setting.meaning


def command_line_page() -> str:
    """Return the page of all commands with their arguments and options."""
    parts = [COMMAND_LINE.replace("\n\n", f"\n\n{NOTE}\n\n", 1)]
    for words, command in commands(typer.main.get_command(app), ("edgeseg",)):
        parts.append(f"## `{' '.join(words)}`\n\n{_paragraphs(command.help)}\n")
        arguments, options = parameters(inspect.unwrap(command.callback))
        if arguments:
            parts.append(_table(("argument", "meaning"), arguments))
        if options:
            parts.append(_table(("option", "default", "meaning"), options))
    return "\n".join(parts)


def commands(command: Command, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Yield every command that does something, with the words that call it."""
    children = getattr(command, "commands", None)
    if children is None:
        yield words, command
        return
    for name, child in children.items():
        yield from commands(child, (*words, name))


def parameters(
    function: Callable[..., object],
) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Return the rows of the arguments and of the options of a command's function."""
    arguments: list[tuple[str, ...]] = []
    options: list[tuple[str, ...]] = []
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = get_args(hints[name])
        required = parameter.default is inspect.Parameter.empty
        meaning = fill_in_meanings(info.help)
        if isinstance(info, typer.models.ArgumentInfo):
            placeholder = name.upper() if required else f"[{name.upper()}]"
            arguments.append((f"`{info.metavar or placeholder}`", meaning))
            continue
        # Inside Annotated, Typer keeps the first name of an option where its default would be.
        first = [info.default] if str(info.default).startswith("-") else []
        flag = ", ".join([*first, *(info.param_decls or ())] or [f"--{name.replace('_', '-')}"])
        if kind is not bool:
            flag += f" {info.metavar or _placeholder(kind)}"
        free = required or parameter.default in (None, "", False)
        default = "required" if required else "" if free else f"`{parameter.default}`"
        options.append((f"`{flag}`", default, meaning))
    return arguments, options


def _placeholder(kind: Any) -> str:  # Any: a type, or a type or None
    kinds = [item for item in get_args(kind) if item is not type(None)] or [kind]
    if get_origin(kinds[0]) is list:
        kinds = list(get_args(kinds[0]))
    return PLACEHOLDERS[kinds[0]]


def _paragraphs(text: str) -> str:
    """Join the lines of each paragraph of a docstring."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def main() -> None:
    """Write the pages whose text has changed."""
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            print(f"wrote {path}")


if __name__ == "__main__":
    main()
