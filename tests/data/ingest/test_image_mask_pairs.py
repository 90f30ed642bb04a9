"""Which image belongs to which mask, and what is proposed where none does."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.data.ingest.image_mask_pairs import pair_files
from edgeseg.data.ingest.pair_names import PairNames, propose_names
from edgeseg.errors import ConfigError, DataError


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    ("images", "masks", "options", "names"),
    [
        (["a", "b"], ["a_mask", "b_mask"], "--mask-name '{}_mask'", PairNames(mask="{}_mask")),
        (["f1", "f10"], ["f1_m", "f10_m"], "--mask-name '{}_m'", PairNames(mask="{}_m")),
        (["a", "b"], ["seg-a", "seg-b"], "--mask-name 'seg-{}'", PairNames(mask="seg-{}")),
        (["a", "b"], ["a.jpg", "b.jpg"], "--mask-name '{}.jpg'", PairNames(mask="{}.jpg")),
        (
            ["img1", "img2"],
            ["mask1", "mask2"],
            "--image-name 'img{}' --mask-name 'mask{}'",
            PairNames(image="img{}", mask="mask{}"),
        ),
        (
            ["u_left", "v_left"],
            ["u_ids", "v_ids"],
            "--image-name '{}_left' --mask-name '{}_ids'",
            PairNames(image="{}_left", mask="{}_ids"),
        ),
        (["e/a", "w/b"], ["a", "b"], "--any-folder", PairNames(any_folder=True)),
        (
            ["e/a", "w/b"],
            ["a_m", "b_m"],
            "--mask-name '{}_m' --any-folder",
            PairNames(mask="{}_m", any_folder=True),
        ),
    ],
)
def test_names_that_differ_alike_are_seen_and_pair_by_the_option(
    tmp_path: Path, images: list[str], masks: list[str], options: str, names: PairNames
) -> None:
    folders = (
        touch(tmp_path / "images", *(f"{name}.jpg" for name in images)),
        touch(tmp_path / "masks", *(f"{name}.png" for name in masks)),
    )
    found = pair_files(*folders)
    assert len(found.faults) == 4 and not found.pairs
    assert all(f"2 would pair with {options}" in fault for fault in found.faults), found.faults
    paired = pair_files(*folders, names)
    assert not paired.faults
    assert [
        (str(image.relative_to(folders[0])), str(mask.relative_to(folders[1])))
        for image, mask in paired.pairs
    ] == [(f"{image}.jpg", f"{mask}.png") for image, mask in zip(images, masks)]


def test_names_that_have_nothing_in_common_are_told_the_rule(tmp_path: Path) -> None:
    images = touch(tmp_path / "images", "east/a.jpg", "east/b.jpg")
    masks = touch(tmp_path / "masks", "x.png", "y.png")
    faults = pair_files(images, masks).faults
    assert len(faults) == 4 and all(f"wants {masks / 'east' / 'a.png'}" in one for one in faults)


def test_what_is_not_unique_is_not_proposed() -> None:
    images = [Path("e/a"), Path("w/a")]
    assert propose_names(images, [Path("a")], PairNames()) == ""


def test_patterns_choose_among_files_of_one_folder(tmp_path: Path) -> None:
    folder = touch(tmp_path / "all", "a.jpg", "a_ids.png", "a_color.png", "b.jpg", "b_ids.png")
    with pytest.raises(DataError, match=r"both in .* --mask-name \{\}_mask"):
        pair_files(folder, folder)
    found = pair_files(folder, folder, PairNames(mask="{}_ids"))
    assert [mask.name for _, mask in found.pairs] == ["a_ids.png", "b_ids.png"]
    assert not found.faults and "1 image(s) have no mask" in found.notes[0]  # a_color.png
    masks = touch(tmp_path / "masks", "a_ids.png", "a_color.png", "b_ids.png")
    images = touch(tmp_path / "images", "a.jpg", "b.jpg")
    found = pair_files(images, masks, PairNames(mask="{}_ids"))
    assert not found.faults and "1 file(s) whose names do not fit" in found.notes[0]


@pytest.mark.parametrize("pattern", ["", "mask", "{}{}", "a/{}"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ConfigError, match="is no pattern of file names"):
        PairNames(mask=pattern)
