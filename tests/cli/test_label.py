"""`edgeseg label` refuses in one sentence what it cannot serve."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgeseg.atomic_files import lock_folder
from edgeseg.cli.app import app
from edgeseg.installation import install_command
from tests.labelling.label_sites import make_label_site


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_label_site(tmp_path / "pond", frames=1)
    monkeypatch.chdir(tmp_path / "pond")
    return tmp_path / "pond"


def refusal(*arguments: str) -> str:
    """The one sentence that the command ends with."""
    done = CliRunner().invoke(app, ["label", "--no-browser", *arguments])
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    return done.stderr


def test_a_queue_that_is_none(place: Path) -> None:
    assert "there is no queue 'best'; give one of footage, log" in refusal("--queue", "best")


def test_a_site_without_frames(place: Path) -> None:
    (place / "frames.jsonl").unlink()
    assert "has no frames to label; add some with `edgeseg add footage" in refusal()


def test_a_frame_that_is_none(place: Path) -> None:
    assert "has no frame 'x'; ids are in frames.jsonl" in refusal("--frame", "x")


def test_a_port_that_is_taken(place: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = refusal("--port", str(taken.getsockname()[1]))
    assert "cannot be served at 127.0.0.1, port" in said and "choose another --port" in said


def test_an_address_of_another_machine(place: Path) -> None:
    assert "cannot be served at 192.0.2.1" in refusal("--host", "192.0.2.1", "--port", "8499")


def test_a_site_that_somebody_labels_already(place: Path) -> None:
    with lock_folder(place / "labelling"):
        assert "labelling is in use by another edgeseg process" in refusal()


def test_the_extra_is_named_where_it_is_missing(place: Path) -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['edgeseg', 'label']; "
        "from edgeseg.cli.start import main; main()"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=place)
    assert done.returncode == 1 and done.stderr.splitlines() == [
        "error: `edgeseg label` needs uvicorn, which is not installed here; run "
        f"`{install_command('review')}`"
    ]
