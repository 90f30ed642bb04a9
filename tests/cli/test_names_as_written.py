"""Names of classes, cameras and files are shown as they were written, and never command the
terminal.
"""

from __future__ import annotations

import ast
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.adapt.round_runner import RoundResult
from edgeseg.cli.adapt import _print_figures
from edgeseg.cli.app import app
from edgeseg.cli.bundle.eval import Evaluation
from edgeseg.cli.bundle.eval import _print_result as print_evaluation
from edgeseg.cli.shared.console import RichReporter, progress_bar, say, table_console
from edgeseg.cli.shared.terminal_text import never_fail_to_print, shell_word, terminal_line
from edgeseg.cli.training.train import print_result
from edgeseg.config import ClassSpec
from edgeseg.export.reporting.model_card import class_table
from edgeseg.html_report import HtmlReport
from edgeseg.imaging.drawing import drawable_names
from edgeseg.training.run_folder import RunResult
from tests.helpers.footage import new_site

# What was written, and what a terminal shall show of it.
NAMES = {
    "road [paved]": "road [paved]",
    "a [/x]": "a [/x]",
    "[bold]b[/bold]": "[bold]b[/bold]",
    "car|van": "car|van",
    ":car:": ":car:",
    "12:30:45": "12:30:45",
    "路面": "路面",
    "مسار": "مسار",
    "a\x1b[31mb": r"a\x1b[31mb",
    "a\rb\a": r"a\rb\x07",
    "a\tb": r"a\tb",
    "\u202eabc": r"\u202eabc",
    "a\u200bb": r"a\u200bb",
    "a\x9bb": r"a\x9bb",
    "👩\u200d🔬": "👩\u200d🔬",
    "caf\udce9": r"caf\xe9",
    "\ud800": r"\ud800",
    "a\nb": r"a\nb",
}
IN_CELLS = {name: shown for name, shown in NAMES.items() if "\n" not in name}
# Names that a configuration takes: UTF-8.
VALID = {name: shown for name, shown in IN_CELLS.items() if name not in ("caf\udce9", "\ud800")}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_sentences_show_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    say(f"saved to {name}", style="bold")
    with progress_bar() as bar:
        bar.start(name, 3)
        bar.advance(1, name)
        bar.say(name)
    shown = NAMES[name]
    assert capsys.readouterr().err.splitlines() == [f"saved to {shown}", f"{shown}: 3 to do", shown]


def test_a_bar_on_a_terminal_shows_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.progress import Progress, TextColumn

    from edgeseg.cli.shared.console import PlainConsole

    screen = io.StringIO()
    console = PlainConsole(file=screen, force_terminal=True, width=200)
    column = TextColumn("{task.description} {task.fields[note]}", markup=False)
    with Progress(column, console=console) as progress:
        reporter = RichReporter(progress)
        reporter.start("a [/x] \x1b[31m", 2)
        reporter.advance(1, "[/y]")
    assert r"a [/x] \x1b[31m [/y]" in screen.getvalue()


@pytest.mark.parametrize("name", IN_CELLS, ids=ascii)
def test_tables_show_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table(name, title=name)
    table.add_row(name)
    table_console(100).print(table)
    assert capsys.readouterr().out.count(IN_CELLS[name]) == 3


def metrics(name: str) -> dict[str, object]:
    means = {"per_class": {name: 50.0}, "miou": 50.0}
    last = {"step": 1, "ema": means, "student": means}
    return {"last": last, "best": {"miou": 50.0, "step": 1}, "seconds_per_step": 0.1}


@pytest.mark.parametrize("name", VALID, ids=ascii)
def test_results_show_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = VALID[name]
    print_result(RunResult(Path("run"), 50.0, metrics(name)), as_json=True, next_command="x")
    counts = np.ones((1, 2, 2), np.int64)
    specs = [ClassSpec(name=name, color="#000000"), ClassSpec(name="b", color="#ffffff")]
    print_evaluation(Evaluation("m", counts, specs), as_json=False)
    side = {"miou": 1.0, "fps": 2.0}
    figures = {"before": side, "after": side, "difference": {"mean": 0, "low": 0, "high": 0}}
    figures |= {"classes": {name: (1.0, 2.0)}}
    _print_figures(RoundResult(1, Path(), "published", "", None, figures))
    said = capsys.readouterr()
    assert said.err.count(shown) == 2
    head, _, rest = said.out.partition("\n")
    assert list(json.loads(head)["last"]["ema"]["per_class"]) == [name]
    assert rest.count(shown) == 1


def test_status_and_errors_show_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = list(VALID)
    site = new_site(tmp_path / "si [te]", [f"c{number}" for number in range(len(names))])
    text = (site.root / "edgeseg.toml").read_text("utf-8")
    for number, name in enumerate(names):
        text = text.replace(f'"c{number}"', json.dumps(name, ensure_ascii=False))
    (site.root / "edgeseg.toml").write_text(text, "utf-8")
    monkeypatch.chdir(site.root)
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 0, done.output
    assert all(shown in done.output for shown in VALID.values())
    assert f"in {site.root}" in done.output
    for name, shown in (VALID | {"caf\udce9": r"caf\xe9"}).items():
        failed = CliRunner().invoke(app, ["infer", f"no {name}", "--source", "x"])
        assert failed.exit_code == 1 and f"no {shown} is no bundle" in failed.stderr


def test_a_name_cannot_forge_a_line_of_its_own() -> None:
    assert terminal_line("a\nerror: b") == r"a\nerror: b"
    assert terminal_line("2 faults:\n  a\n  and 3 more") == "2 faults:\n  a\n  and 3 more"


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", b"caf\xe9 \xc3\xa9"), ("ascii", None)])
def test_stdout_takes_every_path(encoding: str, shown: bytes | None) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding)
    never_fail_to_print(stream)
    print("caf\udce9 é", end="", file=stream, flush=True)
    assert raw.getvalue() == (shown or rb"caf\udce9 \xe9")
    never_fail_to_print(io.StringIO())


def test_commands_to_copy_quote_paths() -> None:
    words = {"a/b": "a/b", "my site": "'my site'", "-x": "./-x", "caf\udce9 '": r"$'caf\xe9 \''"}
    assert {path: shell_word(path) for path in words} == words


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("name", [name for name in NAMES if name != "\ud800"], ids=ascii)
def test_a_shell_reads_them_back(name: str) -> None:
    import subprocess

    command = f"printf %s {shell_word(name)}".encode()
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stdout == name.encode(errors="surrogateescape")


def test_the_card_and_pages_hold_names() -> None:
    figures = {"per_class": {"car|van": 1.0, "a `b` [c](d) \x1b": 2.0, "left_right": 3.0}}
    rows = class_table({"torch": figures})[2:]
    assert rows[0] == r"| car\|van | 1.0 |"
    assert rows[1] == "| a \\`b\\` \\[c\\](d) \ufffd | 2.0 |"
    assert rows[2] == "| left_right | 3.0 |"
    page = HtmlReport("<b> caf\udce9 \x1b")
    page.table(["a|b"], [["a [/x]"]])
    html = page.html()
    html.encode()
    assert "&lt;b&gt; caf\ufffd \ufffd" in html and "a [/x]" in html


def test_legends_are_drawn_in_letters_that_opencv_has() -> None:
    assert drawable_names(["Größe", "路面", "a\x1bb", "car|van"]) == [
        "Grosse",
        "class 1",
        "ab",
        "car|van",
    ]


def test_rich_is_entered_through_the_plain_console_alone() -> None:
    """Any other console takes names for markup; tables and texts are only drawn by it."""
    root = Path(__file__).parents[2]
    faults = []
    for folder in ("cli", "edgeseg", "export", "calibration"):
        for path in sorted((root / folder).rglob("*.py")):
            if path.relative_to(root).as_posix() == "cli/shared/console.py":
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                elif isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                rich = {name for name in names if name.partition(".")[0] == "rich"}
                if rich - {"rich.box", "rich.table", "rich.text"}:
                    faults.append(f"{path}: {rich}")
    assert not faults


def test_text_with_markup_is_written_nowhere() -> None:
    root = Path(__file__).parents[2]
    sources = {path: path.read_text("utf-8") for path in sorted((root / "cli").rglob("*.py"))}
    assert len(sources) > 20
    assert not [path for path, text in sources.items() if "[/" in text or "markup=True" in text]
