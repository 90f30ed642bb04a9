"""What hands that are used to other tools type, and what everybody expects of a command."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

import edgeseg
from edgeseg.cli.app import app
from edgeseg.cli.shared.other_habits import OTHER_NAMES


def answer(*words: str) -> str:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    return " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(("theirs", "ours"), OTHER_NAMES.items())
def test_their_commands_are_told_ours(theirs: str, ours: str) -> None:
    assert f"it is `edgeseg {ours}`" in answer(theirs, "source=x.mp4")
    if not ours.startswith("-"):
        assert CliRunner().invoke(app, [ours, "--help"]).exit_code == 0


def test_their_arguments_are_told_how_to_be_written() -> None:
    said = answer("train", "batch_unlabelled=640", "epochs=3")
    assert "--batch-unlabelled 640" in said and "--set train.batch_unlabelled=640" in said
    assert "Options are written" not in answer("train", "x")


def test_help_and_version_have_short_ways() -> None:
    assert CliRunner().invoke(app, ["train", "-h"]).exit_code == 0
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0 and done.output == f"edgeseg {edgeseg.__version__}\n"


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "edgeseg", "--version"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"edgeseg {edgeseg.__version__}\n")
