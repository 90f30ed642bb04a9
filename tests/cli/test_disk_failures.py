"""What a command says when the disk fails under it: the place, and what to type next."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeseg.cli.app import app
from edgeseg.cli.shared.options import RUN_VARIABLE
from edgeseg.site import Site
from tests.helpers.sites import TINY, make_site

TRAIN = [
    *(
        part
        for key, value in TINY.items()
        for part in ("--set", f"train.{key}={json.dumps(value)}")
    ),
    *("--set", "train.method=suponly"),
]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = make_site(tmp_path / "site")
    monkeypatch.chdir(made.root)
    monkeypatch.setenv(RUN_VARIABLE, "")  # given back after the test
    monkeypatch.delenv(RUN_VARIABLE)
    return made


def edgeseg(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def sentence(*arguments: str) -> str:
    done = edgeseg(*arguments)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.exit_code == 1 and len(lines) == 1 and "Traceback" not in done.output, done.output
    return lines[0]


def fail_to_sync(
    monkeypatch: pytest.MonkeyPatch, number: int, where: Callable[[str], bool]
) -> None:
    """Let fsync fail for files whose path `where` takes, as a full disk does: without a name."""
    sync = os.fsync

    def fail(handle: int) -> None:
        if where(str(Path(f"/proc/self/fd/{handle}").readlink())):
            raise OSError(number, os.strerror(number))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fail)


def test_a_full_disk_in_a_training_names_the_file_and_resume(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        fail_to_sync(patch, errno.ENOSPC, lambda path: "checkpoint/.step-00000002" in path)
        said = sentence("train", *TRAIN)
    run = site.root / "runs" / "train" / "exp1"
    assert said.startswith(f"error: {run}/checkpoint/step-00000002-")
    assert "cannot be written (No space left on device); make room on its disk" in said
    assert said.endswith("then run `edgeseg train --resume`; nothing saved is lost")
    resumed = edgeseg("train", "--resume")
    assert resumed.exit_code == 0 and (run / "metrics.json").exists(), resumed.output


def test_a_full_disk_before_the_first_step_leaves_no_run(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_to_sync(monkeypatch, errno.EDQUOT, lambda path: ".config.toml" in path)
    said = sentence("train", *TRAIN)
    assert "config.toml cannot be written" in said
    assert said.endswith("then run the same command again; nothing saved is lost")
    assert not list((site.root / "runs" / "train").iterdir())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EIO, errno.ENAMETOOLONG])
def test_other_faults_are_sentences_too(
    number: int, site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fail_to_sync(monkeypatch, number, lambda path: True)
    said = sentence("init", str(tmp_path / "new"), "--classes", "a,b")
    assert os.strerror(number) in said and str(tmp_path / "new") in said


def test_what_is_removed_under_a_command_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_text

    def gone(path: Path, *arguments: str) -> str:
        if path.name == "frames.jsonl":
            path.unlink(missing_ok=True)
        return read(path, *arguments)

    monkeypatch.setattr(Path, "read_text", gone)
    said = sentence("status")
    assert f"{site.root / 'frames.jsonl'} cannot be used (No such file" in said
    assert "put it back" in said


def test_a_fault_that_names_nothing_tells_the_folder(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("edgeseg.data.site_summary.summarize_site", fail)
    assert sentence("status").startswith(f"error: a file in {site.root} cannot be written (No ")


def test_our_own_faults_keep_their_traceback(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("a library has not found a part of itself")

    monkeypatch.setattr("edgeseg.data.site_summary.summarize_site", fail)
    assert isinstance(edgeseg("status").exception, OSError)


@pytest.mark.parametrize("command", [["log", "verify"], ["methods"], ["status"]])
def test_a_broken_configuration_is_no_missing_site(command: list[str], site: Site) -> None:
    (site.root / "edgeseg.toml").write_text("[classes\n")
    assert "edgeseg.toml cannot be read as TOML" in sentence(*command)


def test_names_that_no_configuration_can_hold_are_refused(site: Site) -> None:
    said = sentence("train", *TRAIN, "--set", "train.weights=caf\udce9.safetensors")
    assert "is no UTF-8" in said and r'weights = "caf\xe9...' in said
    assert not (site.root / "runs").exists()
