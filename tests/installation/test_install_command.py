"""The command that installs an extra fits the way in which edgeseg came onto the machine."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, PathDistribution, requires
from pathlib import Path

import pytest

from edgeseg import installation
from edgeseg.installation import WHEEL, install_command

ROOT = Path(__file__).parents[2]
CODE_FOLDERS = ("edgeseg", "cli", "export", "calibration")
METADATA = """Metadata-Version: 2.4
Name: edgeseg
Version: 0.1.0
Requires-Dist: numpy>=1.24
Requires-Dist: tomli>=2; python_version < "3.11"
Requires-Dist: av>=17; extra == "device"
Requires-Dist: pillow>=11; extra == 'device'
Requires-Dist: torch>=2.11; extra == "train"
Requires-Dist: pillow>=11; extra == "train"
Requires-Dist: edgeseg[device,train]; extra == "all"
Requires-Dist: edgeseg[all]; extra == "dev"
Requires-Dist: tensorrt>=8.6; platform_system == "Linux" and extra == "dev"
Requires-Dist: edgeseg[engine]; (os_name == "a" or os_name == "b") and extra == "board"
Requires-Dist: engine>=1; extra == "engine"
Requires-Dist: driver>=1; python_version < "4" and extra == "engine"
"""
Install = Callable[[object], None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes edgeseg one that was installed into a folder, with what pip noted of its origin."""
    folder = tmp_path / "edgeseg-0.1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(METADATA)
    monkeypatch.setattr(installation, "CODE", tmp_path)
    monkeypatch.setattr(installation, "distribution", lambda name: PathDistribution(folder))

    def install(noted: object) -> None:
        if noted is not None:
            text = noted if isinstance(noted, str) else json.dumps(noted)
            (folder / "direct_url.json").write_text(text)

    return install


def words(command: str) -> list[str]:
    """The words behind `pip install`."""
    pip, verb, *rest = shlex.split(command)
    assert (pip, verb) == ("pip", "install")
    return rest


def test_a_checkout_is_installed_again_as_it_is() -> None:
    assert words(install_command("device", "review")) == ["-e", f"{ROOT}[device,review]"]
    assert words(install_command()) == ["-e", str(ROOT)]


def test_a_wheel_that_is_still_there(installed: Install, tmp_path: Path) -> None:
    wheel = tmp_path / "my wheels" / WHEEL
    wheel.parent.mkdir()
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert words(install_command("device")) == [f"{wheel}[device]"]


def test_another_project_beside_the_package_is_no_checkout(
    installed: Install, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "edgeseg-of-somebody"\n')
    assert words(install_command("device")) == ["av>=17", "pillow>=11"]
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "edgeseg"\n')
    assert words(install_command("device")) == ["-e", f"{tmp_path}[device]"]


def test_a_subfolder_of_a_folder_an_archive_and_a_repository(
    installed: Install, tmp_path: Path
) -> None:
    inside = tmp_path / "all" / "tools" / "edgeseg"
    inside.mkdir(parents=True)
    whole, archive = inside.parents[1], tmp_path / "all.zip"
    archive.touch()
    sub = {"subdirectory": "tools/edgeseg"}
    vcs = {"vcs": "git", "commit_id": "0" * 40}
    expected = {
        json.dumps({"url": whole.as_uri(), "dir_info": {}, **sub}): f"{inside}[device]",
        json.dumps({"url": archive.as_uri(), "archive_info": {}, **sub}): (
            f"edgeseg[device] @ {archive.as_uri()}#subdirectory=tools/edgeseg"
        ),
        json.dumps({"url": "https://example.org/e.git", "vcs_info": vcs, **sub}): (
            f"edgeseg[device] @ git+https://example.org/e.git@{'0' * 40}#subdirectory=tools/edgeseg"
        ),
        json.dumps({"url": whole.as_uri(), "vcs_info": vcs, **sub}): (
            f"edgeseg[device] @ git+{whole.as_uri()}@{'0' * 40}#subdirectory=tools/edgeseg"
        ),
    }
    for noted, source in expected.items():
        installed(noted)
        assert words(install_command("device")) == [source]


def test_a_commit_of_a_repository(installed: Install) -> None:
    vcs = {"vcs": "git", "requested_revision": "main", "commit_id": "0" * 40}
    installed({"url": "https://example.org/e.git", "vcs_info": vcs})
    source = f"edgeseg[device] @ git+https://example.org/e.git@{'0' * 40}"
    assert words(install_command("device")) == [source]


def test_an_archive_on_a_server(installed: Install) -> None:
    installed({"url": "https://example.org/e.whl", "archive_info": {}})
    assert words(install_command("train")) == ["edgeseg[train] @ https://example.org/e.whl"]


@pytest.mark.parametrize(
    "noted",
    [
        None,
        {"url": "file:///nowhere/edgeseg-0.1.0-py3-none-any.whl", "archive_info": {}},
        {"url": "git@host:e", "vcs_info": {}},
        "no JSON",
        "[]",
        {"url": 7},
    ],
    ids=str,
)
def test_without_an_origin_the_packages_are_named(installed: Install, noted: object) -> None:
    installed(noted)
    assert words(install_command("device")) == ["av>=17", "pillow>=11"]
    everything = ["av>=17", "pillow>=11", "torch>=2.11"]
    assert words(install_command("all")) == everything
    linux = 'tensorrt>=8.6; platform_system == "Linux"'
    assert words(install_command("dev")) == [*everything, linux]
    either = '(os_name == "a" or os_name == "b")'
    assert words(install_command("board")) == [
        f"engine>=1; {either}",
        f'driver>=1; {either} and python_version < "4"',
    ]
    assert words(install_command()) == ["numpy>=1.24", 'tomli>=2; python_version < "3.11"']


def test_an_edgeseg_that_nobody_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: Install
) -> None:
    def nowhere(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(installation, "distribution", nowhere)
    assert words(install_command("device")) == [f"./{WHEEL}[device]"]


def test_an_extra_that_this_version_has_not(installed: Install) -> None:
    assert words(install_command("later")) == [f"./{WHEEL}[later]"]


def test_the_metadata_that_is_installed_here_is_understood() -> None:
    device = installation._packages(requires("edgeseg") or [], ["device"])
    assert [re.split("[<>=]", item)[0] for item in device] == [
        "av",
        "onnxruntime",
        "opencv-python-headless",
        "pillow",
    ]


def test_nobody_is_told_to_install_edgeseg_from_a_registry() -> None:
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    code = [path for name in CODE_FOLDERS for path in (ROOT / name).rglob("*.py")]
    by_name = re.compile(r"pip install[^\n`]*?[ '\"]edgeseg(?![-\w/])")
    told = [
        str(path)
        for path in (*documents, *code)
        if path.name not in ("changelog.md", "installation.py") and by_name.search(path.read_text())
    ]
    assert not told, "write install_command(...), or the wheel's file in documents"


def test_documents_name_the_wheel_of_this_version() -> None:
    named = {
        path.relative_to(ROOT).as_posix(): set(
            re.findall(r"\bedgeseg-[\w.]+-py3-none-any\.whl", path.read_text())
        )
        for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    }
    assert all(wheels <= {WHEEL} for wheels in named.values()), named
    assert named["README.md"] == named["docs/on-the-device.md"] == {WHEEL}
