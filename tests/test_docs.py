"""The documentation runs: every `edgeseg` line names a command and flags that exist, and marked
blocks really run.

A block under `<!-- run -->` runs in a fresh folder, after the marked blocks above it in the same
document. The folder holds `footage/` (one clip, river.mp4), `images/` and `masks/` (labelled frames
of the same river; the masks hold the class ids 0 sky, 1 water, 2 bank, 3 vegetation, 4 structure).
Settings in the comment (`<!-- run train.steps=2 -->`) are given as --set to every command of the
block that takes it: the text shows the plain command, the test stays small.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from docs.generate import pages
from edgeseg.cli.app import app
from edgeseg.config.reference import tables
from edgeseg.demo.renderer.lighting import Conditions
from edgeseg.demo.renderer.scene import Scene
from edgeseg.errors import EdgesegError
from edgeseg.runtime.framelog.record_format import read_record
from tests.helpers.bundles import make_bundle, painted
from tests.helpers.rounds import make_log

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>run\b[^>]*?) ?-->\n+)?^```bash\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
Command = Any  # Typer's own command classes are not public


@dataclass(frozen=True)
class Block:
    """One fenced bash block; `settings` is None unless it is marked to run."""

    document: Path
    lines: tuple[str, ...]
    settings: tuple[str, ...] | None


def blocks(document: Path) -> list[Block]:
    """The bash blocks of a document, continued lines joined."""
    found = []
    for match in BLOCK.finditer(document.read_text()):
        mark, body = match["mark"], match["body"].replace("\\\n", " ")
        found.append(
            Block(
                document,
                tuple(body.splitlines()),
                None if mark is None else tuple(mark.split()[1:]),
            )
        )
    return found


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
LINES = [(block.document.name, line) for block in BLOCKS for line in block.lines]
COMMANDS = sorted({line for _, line in LINES if line.startswith("edgeseg ")})
RUNNABLE = [d for d in DOCUMENTS if any(b.document == d and b.settings is not None for b in BLOCKS)]


def words(line: str) -> list[str]:
    """The words of a shell line up to a comment, pipe or redirection."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if word[0] in "|&;<>":
            break
        found.append(word)
    return found


def resolve(line: str) -> tuple[Command, list[str]]:
    """The command a line calls, and the words after its name."""
    command, rest = typer.main.get_command(app), words(line)[1:]
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands, f"no command {rest[0]!r} in {line!r}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


def flags(command: Command) -> set[str]:
    """Every spelling of every option of a command."""
    return {"--help"} | {
        name
        for item in command.params
        for name in (*item.opts, *item.secondary_opts)
        if name[0] == "-"
    }


def paths(command: Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Command]]:
    """Every command below `command` with the words that call it."""
    children = getattr(command, "commands", {})
    return [(path, command)] * (not children) + [
        item for name in children for item in paths(children[name], (*path, name))
    ]


@pytest.mark.parametrize("line", COMMANDS)
def test_documented_command_and_flags_exist(line: str) -> None:
    command, rest = resolve(line)
    given = {word.partition("=")[0] for word in rest if re.match(r"--?[A-Za-z]", word)}
    assert given <= flags(command), f"{line!r}: no such flag {sorted(given - flags(command))}"


def test_every_documented_edgeseg_command_starts_its_line() -> None:
    assert COMMANDS or not RUNNABLE
    for name, line in LINES:
        assert not re.search(r"(&&|;|\|)\s*edgeseg\b", line), (
            f"{name}: put the command on a line of its own: {line}"
        )


def test_every_command_is_documented_and_says_what_it_does() -> None:
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    for path, command in paths(typer.main.get_command(app)):
        assert command.help, f"edgeseg {' '.join(path)} has no help"
        assert f"edgeseg {path[0]}" in text, f"no document mentions edgeseg {path[0]}"


@pytest.mark.parametrize("name", pages())
def test_pages_made_from_the_code_are_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / name).read_text() == pages()[name], "run: make docs"


def test_the_help_of_a_flag_is_the_text_of_its_key() -> None:
    result = CliRunner().invoke(app, ["train", "--help"], terminal_width=500)
    shown = " ".join(re.sub(r"[│╭╮╰╯─|]", " ", result.output).split())
    assert result.exit_code == 0
    for setting in (setting for table in tables() for setting in table.settings):
        if setting.path in ("train.method", "train.steps", "train.imgsz", "train.device"):
            assert setting.help in shown, setting.path


def test_documented_make_targets_and_scripts_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for _, line in LINES:
        if line.startswith("make "):
            assert words(line)[1] in targets, line
        for script in re.findall(r"\bbenchmarks/[\w./]+", line):
            assert (ROOT / script).exists(), line


def test_the_readme_names_its_two_commands_and_continuous_integration_runs_the_test_command() -> (
    None
):
    readme = [line for name, line in LINES if name == "README.md"]
    assert any(line.startswith("make demo") for line in readme)
    assert any(line.startswith("make test") for line in readme)
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def moment(number: int) -> Conditions:
    """Moments different enough that none is dropped as a near-duplicate."""
    hour, part = 7 + number * 5 % 12, number * 0.37 % 1
    return Conditions(
        hour=hour, cloud=part, fog=part**4, level=2 * part - 0.8, seconds=number, seed=number
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Footage and labels of a tiny river, as a user would have them."""
    scene = Scene(96, 128)
    for name in ("footage", "images", "masks"):
        (tmp_path / name).mkdir()
    clip = cv2.VideoWriter(
        str(tmp_path / "footage" / "river.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 2.0, (128, 96)
    )
    for number in range(48):
        image, mask = scene.render(moment(number))
        clip.write(image[..., ::-1])
        if number % 3 == 0:
            cv2.imwrite(str(tmp_path / "images" / f"{number:03}.png"), image[..., ::-1])
            cv2.imwrite(str(tmp_path / "masks" / f"{number:03}.png"), mask)
    clip.release()
    return tmp_path


def script(document: Path) -> str:
    """The marked blocks of a document as one bash script."""
    lines = ["set -euo pipefail"]
    for block in blocks(document):
        for line in block.lines if block.settings is not None else ():
            if (
                line.startswith("edgeseg ")
                and block.settings
                and "--set" in flags(resolve(line)[0])
            ):
                command = shlex.join(words(line))
                line = line.replace(
                    line.split("#")[0].rstrip(),
                    command + "".join(f" --set {s}" for s in block.settings),
                )
            lines.append(line)
    return "\n".join(lines)


@pytest.mark.parametrize("document", RUNNABLE, ids=lambda document: document.name)
def test_marked_blocks_run(document: Path, folder: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-x", "-c", script(document)],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def string_constants() -> str:
    """Every piece of text in the package's own code, one to a line."""
    found = []
    for folder in ("edgeseg", "cli", "export", "calibration"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(node.value)
    return "\n".join(found)


def test_troubleshooting_quotes_what_is_said_and_has_every_kind_of_error() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    for error in EdgesegError.__subclasses__():
        if error.__module__ == "edgeseg.errors":
            assert f"## {error.__name__}" in page, f"no section about {error.__name__}"
    said = string_constants()
    for row in re.findall(r"^\| (`[^|]+`) \|", page, re.MULTILINE):
        for quoted in re.findall(r"`([^`]+)`", row):
            assert quoted in said, f"nothing in edgeseg says {quoted!r} any more"


def python_blocks(page: str) -> list[str]:
    """The fenced Python blocks of a page in docs/."""
    text = (ROOT / "docs" / page).read_text()
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_reader_of_records_in_the_documentation_reads_records(tmp_path: Path) -> None:
    (program,) = python_blocks("formats/frame-log.md")
    names: dict[str, Any] = {}  # Any: whatever the page defines
    exec(program, names)
    for path in make_log(tmp_path / "log", range(2)):
        header, parts = names["read"](path)
        record = read_record(path)
        assert header == json.loads(record.header.canonical())
        assert parts == record.parts


def test_the_page_of_other_engines_predicts_with_onnx_runtime_alone(tmp_path: Path) -> None:
    (program,) = python_blocks("other-engines.md")
    names: dict[str, Any] = {}  # Any: as above
    exec(program, names)
    made = make_bundle(tmp_path / "bundle")
    tiles = np.array([[0, 1], [2, 3]])
    mask, score = names["predict"](str(made.path), painted(tiles))
    assert mask[0, 0] == 0 and mask[0, -1] == 1 and mask[-1, 0] == 2 and 0 <= score <= 1


def test_the_python_page_runs_a_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import edgeseg\n" + python_blocks("python-api.md")[1]
    make_bundle(tmp_path / "bundles" / "current")
    cv2.imwrite(str(tmp_path / "picture.jpg"), painted(np.array([[0, 1]]), 90, 120))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}  # Any: as above
    exec(program, names)
    assert len(names["prediction"].mask) == 1


def test_the_command_line_page_names_the_flags_that_there_are() -> None:
    page = (ROOT / "docs" / "command-line.md").read_text()
    for words, command in paths(typer.main.get_command(app)):
        section = page.split(f"## `edgeseg {' '.join(words)}`\n", 1)[1].split("\n## ", 1)[0]
        named = set(re.findall(r"^\| `(--[\w-]+)", section, re.MULTILINE))
        assert named <= flags(command), f"{words}: no such flag {named - flags(command)}"
