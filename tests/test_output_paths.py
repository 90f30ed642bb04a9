"""No output replaces what is read, by whatever name it is called."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import EdgesegError, ExportError
from edgeseg.imaging.image_codec import encode_png
from edgeseg.output_paths import Output, check_disjoint, check_outputs, hold_output
from edgeseg.runtime.inference import OutputTargets, infer
from edgeseg.runtime.sources.continued_names import ContinuedNames, next_free_number
from edgeseg.runtime.sources.open_source import open_source
from tests.helpers.bundles import painted
from tests.helpers.footage import new_site, save_video

Prepare = Callable[[Path], tuple[str, dict[str, str]]]  # source, and outputs by their option


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(painted(np.array([[0, 1], [2, 3]]))))


def spoil_none(root: Path) -> None:
    """Nothing beside the footage is needed."""


def link(name: str, target: str) -> Callable[[Path], None]:
    return lambda root: (root / name).symlink_to(root / target)


def hard_link(name: str, target: str) -> Callable[[Path], None]:
    return lambda root: os.link(root / target, root / name)


def linked_pictures(root: Path) -> None:
    (root / "chosen").mkdir()
    (root / "chosen/one.png").symlink_to(root / "photos/a.png")


REFUSED: dict[str, tuple[Callable[[Path], None], str, dict[str, str]]] = {
    "overlays into the folder of pictures": (spoil_none, "photos", {"save": "photos"}),
    "masks into the folder of pictures": (spoil_none, "photos", {"masks": "photos"}),
    "the same by another spelling": (spoil_none, "photos", {"masks": "photos/../photos/."}),
    "the same by a link": (link("album", "photos"), "photos", {"masks": "album"}),
    "the source by a link": (link("album", "photos"), "album", {"masks": "photos"}),
    "a folder of links to pictures": (linked_pictures, "chosen", {"masks": "photos"}),
    "a glob of links to pictures": (linked_pictures, "chosen/*.png", {"save": "photos"}),
    "overlays and masks in one": (spoil_none, "v.mp4", {"save": "out", "masks": "out"}),
    "a glob": (spoil_none, "photos/*.png", {"masks": "photos"}),
    "one picture": (spoil_none, "photos/a.png", {"masks": "photos"}),
    "below the folder": (spoil_none, "photos", {"save": "photos/out"}),
    "below a folder that is walked": (spoil_none, "photos/**/*.png", {"save": "photos/x/out"}),
    "a video onto itself": (spoil_none, "v.mp4", {"save": "v.mp4"}),
    "a video by a link": (link("w.mp4", "v.mp4"), "w.mp4", {"save": "v.mp4"}),
    "a video by its hard link": (hard_link("w.mp4", "v.mp4"), "v.mp4", {"save": "w.mp4"}),
    "a video that a killed run left": (link("w.partial.mp4", "v.mp4"), "v.mp4", {"save": "w.mp4"}),
    "into a folder of videos": (spoil_none, "videos", {"save": "videos/o.mp4"}),
    "masks beside the videos of a folder": (spoil_none, "videos", {"masks": "videos"}),
    "a log in the footage": (spoil_none, "photos", {"log": "photos/log"}),
    "masks in the log": (spoil_none, "v.mp4", {"log": "log", "masks": "log/masks"}),
    "the log among the masks": (spoil_none, "v.mp4", {"log": "out/log", "masks": "out"}),
    "into the bundle": (spoil_none, "v.mp4", {"masks": "bundle"}),
    "below the bundle": (spoil_none, "v.mp4", {"save": "bundle/o.mp4"}),
    "a site's frames": (spoil_none, "v.mp4", {"save": "site/frames"}),
    "a site's masks": (spoil_none, "v.mp4", {"masks": "site/masks/new"}),
    "a site's runs": (spoil_none, "v.mp4", {"masks": "site/runs/train/exp1"}),
}
ALLOWED = {
    "beside a video": ("v.mp4", {"masks": "."}),
    "beside a folder": ("photos", {"masks": "photos-masks"}),
    "above a folder": ("photos", {"masks": "."}),
    "a run of infer": ("v.mp4", {"masks": "site/runs/infer/exp1/masks"}),
    "a site's own new folder": ("v.mp4", {"masks": "site/predicted"}),
}


@pytest.fixture
def place(tmp_path: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[Path, bytes]:
    """A working directory with footage, a bundle and a site; returns its files."""
    for name in ("photos/a.png", "photos/b.png", "photos/x/c.png"):
        picture(tmp_path / name)
    frames = [painted(np.array([[0, 1], [2, 3]]))] * 3
    save_video(tmp_path / "v.mp4", frames)
    (tmp_path / "videos").mkdir()
    os.link(save_video(tmp_path / "one.mp4", frames), tmp_path / "videos" / "one.mp4")
    (tmp_path / "bundle").symlink_to(bundle_path)
    root = new_site(tmp_path / "site", ["a", "b"]).root
    (root / "frames").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return files_of(tmp_path)


def files_of(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def targets(outputs: dict[str, str]) -> OutputTargets:
    save, masks, log = (outputs.get(name) for name in ("save", "masks", "log"))
    return OutputTargets(
        save=Path(save) if save else None,
        masks=Path(masks) if masks else None,
        log=Path(log) if log else None,
    )


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_read_is_never_written(
    name: str, place: dict[Path, bytes], tmp_path: Path, bundle_path: Path
) -> None:
    prepare, source, outputs = REFUSED[name]
    prepare(tmp_path)
    with pytest.raises(EdgesegError, match=r"choose another|a place of its own"):
        infer(bundle_path, source, targets(outputs))
    after = files_of(tmp_path)
    assert place.items() <= after.items(), "everything that was there is as it was"
    assert {path.suffix for path in after.keys() - place.keys()} <= {
        ".mp4"
    } or prepare is linked_pictures


@pytest.mark.parametrize("name", ALLOWED)
def test_other_places_are_written(
    name: str, place: dict[Path, bytes], tmp_path: Path, bundle_path: Path
) -> None:
    source, outputs = ALLOWED[name]
    result = infer(bundle_path, source, targets(outputs))
    after = files_of(tmp_path)
    assert place.items() <= after.items()
    assert len(after) == len(place) + result.summary.frames, "no lock file is left"


def test_a_file_system_that_takes_capitals_for_small_letters_is_seen_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands in for one: both spellings have one device and number."""
    picture(tmp_path / "a.png")
    real = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        return real(path.with_name(path.name.lower()), follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(EdgesegError, match="would be replaced"):
        check_outputs([Output(tmp_path / "A.PNG", "--save", False)], [tmp_path / "a.png"])


def hold(path: Path, ready: object, release: object) -> None:
    with hold_output(Output(path, "--save", False)):
        ready.set()  # type: ignore[attr-defined]
        release.wait(30)  # type: ignore[attr-defined]


def test_a_second_run_into_the_same_place_is_refused(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path / "o.mp4", ready, release))
    process.start()
    try:
        assert ready.wait(30)
        for path in (tmp_path / "o.mp4", tmp_path / "x" / ".." / "o.mp4"):
            with (
                pytest.raises(EdgesegError, match=r"--save .*o\.mp4 is being written by another"),
                hold_output(Output(path, "--save", False)),
            ):
                pass
        with hold_output(Output(tmp_path / "p.mp4", "--save", False)):
            pass
    finally:
        release.set()
        process.join(30)
    with hold_output(Output(tmp_path / "o.mp4", "--save", False)):
        assert os.listdir(tmp_path) == [".o.mp4.lock"]
    assert os.listdir(tmp_path) == []


def test_a_run_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    (tmp_path / ".o.mp4.lock").touch()
    with hold_output(Output(tmp_path / "o.mp4", "--save", False)):
        pass


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(EdgesegError, match=r"--masks .* cannot be written \(.*\)"),
        hold_output(Output(tmp_path / "file" / "masks", "--masks", True)),
    ):
        pass


def test_outputs_of_one_run_keep_apart(tmp_path: Path) -> None:
    log = Output(tmp_path / "log", "--log", True)
    check_disjoint([Output(tmp_path / "log.mp4", "--save", False)], log)
    with pytest.raises(EdgesegError, match="lie in each other"):
        check_disjoint([Output(tmp_path / "log" / "o.mp4", "--save", False)], log)


def test_an_export_replaces_bundles_alone(tmp_path: Path) -> None:
    from edgeseg.export.exporter import _check_target

    site = new_site(tmp_path / "site", ["a", "b"]).root
    _check_target(site / "bundles" / "new")
    _check_target(tmp_path / "new")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "manifest.json").write_text("{}")
    _check_target(tmp_path / "app")
    (tmp_path / "app" / "index.html").write_text("of a person")
    for path in (tmp_path / "app", tmp_path / "app" / "index.html"):
        with pytest.raises(ExportError, match="another --output"):
            _check_target(path)
    for name in ("frames", "runs/train/exp1"):
        with pytest.raises(EdgesegError, match="belongs to the site"):
            _check_target(site / name)


def test_a_live_run_goes_on_behind_the_names_of_the_one_before(tmp_path: Path) -> None:
    assert next_free_number([tmp_path / "none", tmp_path]) == 0
    for name in ("00000041.png", "00000007.jpg", "notes.txt", ".output.lock"):
        (tmp_path / name).touch()
    assert next_free_number([tmp_path]) == 42
    picture(tmp_path / "photos" / "a.png")
    source = ContinuedNames(open_source(str(tmp_path / "photos")), 42)
    from threading import Event

    assert [frame.name for frame in source.frames(Event())] == ["00000042"]
    source.close()


def test_a_video_of_the_longest_name_is_written(
    place: dict[Path, bytes], tmp_path: Path, bundle_path: Path
) -> None:
    name = "é" * 125 + "a.mp4"
    assert len(name.encode()) == 255
    infer(bundle_path, "v.mp4", targets({"save": name}))
    assert files_of(tmp_path).keys() - place.keys() == {tmp_path / name}
