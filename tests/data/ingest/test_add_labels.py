"""Adding labels: all or none, all faults at once, and labels that meet footage in the site."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.data.ingest.add_labels import AddLabelsResult, add_labels
from edgeseg.data.ingest.masks.mask_rules import MaskRules
from edgeseg.errors import DataError
from edgeseg.site import Site
from tests.helpers.footage import file_contents, new_site, save_image, save_palette_png, scene

MASK = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def empty(tmp_path: Path) -> Site:
    return new_site(tmp_path / "site")


def label(folder: Path, seeds: range | list[int], *, suffix: str = ".jpg") -> tuple[Path, Path]:
    """Images of scenes, with masks that show all three classes."""
    for seed in seeds:
        save_image(folder / "images" / f"{seed}{suffix}", scene(seed))
        save_image(folder / "masks" / f"{seed}.png", (scene(seed)[..., 0] // 86).astype(np.uint8))
    return folder / "images", folder / "masks"


def test_labels_are_stored_exactly(empty: Site, tmp_path: Path) -> None:
    add_labels(empty, *label(tmp_path / "jpg", [1]), "train", camera="east")
    add_labels(empty, *label(tmp_path / "png", [2], suffix=".png"), "gate")
    for frame in empty.frames():
        name = Path(frame.source)
        mask = Image.open(empty.path(frame.mask or ""))
        assert mask.mode == "L"
        assert (
            np.asarray(mask)
            == np.asarray(Image.open(name.parents[1] / "masks" / f"{name.stem}.png"))
        ).all()
        if name.suffix == ".jpg":
            assert (frame.camera, frame.split, frame.origin) == ("east", "labelled", "labels")
            assert empty.path(frame.image).read_bytes() == name.read_bytes()
        else:
            assert frame.split == "gate"
            assert (np.asarray(Image.open(empty.path(frame.image))) == scene(2)).all()


def test_every_fault_is_told_and_nothing_is_added(empty: Site, tmp_path: Path) -> None:
    images, masks = label(tmp_path, range(8))
    save_image(masks / "0.png", np.full((96, 128), 9, np.uint8))
    save_image(masks / "1.png", np.zeros((96, 127), np.uint8))
    (masks / "2.png").unlink()
    (images / "3.jpg").write_text("x")
    (masks / "4.png").write_bytes((masks / "4.png").read_bytes()[:50])
    save_image(images / "5.png", scene(5))
    (images / "7.jpg").write_bytes((images / "6.jpg").read_bytes())
    save_image(masks / "only.png", MASK)
    before = file_contents(empty.root)
    with pytest.raises(DataError) as caught:
        add_labels(empty, images, masks)
    told = str(caught.value)
    assert "there are 8 faults" in told
    for words in (
        "0.png: has class ids 9",
        "1.png: is 127x96, but 1.jpg is 128x96",
        "2.jpg: has no mask",
        "3.jpg: is damaged",
        "4.png: is damaged",
        "5.png: has the same name as 5.jpg",
        "7.jpg: is the same image as",
        "only.png: has no image",
    ):
        assert words in told, told
    assert file_contents(empty.root) == before


def test_many_faults_are_counted_not_listed(empty: Site, tmp_path: Path) -> None:
    images, masks = label(tmp_path, range(40))
    for seed in range(40):
        save_image(masks / f"{seed}.png", np.full((96, 128), 3, np.uint8))
    with pytest.raises(DataError, match="there are 40 faults") as caught:
        add_labels(empty, images, masks)
    assert (
        "0.png" in str(caught.value)
        and "and 36 more" in str(caught.value)
        and len(str(caught.value)) < 1500
    )


@pytest.mark.parametrize(
    ("images", "masks", "words"),
    [
        ("images", "images", "are both in"),
        ("images", "absent", "does not exist"),
        ("void", "masks", "holds no images"),
        ("images", "masks/1.png", "must both be folders"),
    ],
)
def test_folders_that_cannot_be_meant(
    empty: Site, tmp_path: Path, images: str, masks: str, words: str
) -> None:
    label(tmp_path, [1])
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match=words):
        add_labels(empty, tmp_path / images, tmp_path / masks)


def test_one_pair_and_folders_below_folders(empty: Site, tmp_path: Path) -> None:
    images, masks = label(tmp_path / "one", [1])
    assert add_labels(empty, images / "1.jpg", masks / "1.png").added == 1
    for part in ("a", "b"):
        save_image(tmp_path / "deep" / part / "x.jpg", scene(ord(part)))
        save_image(tmp_path / "deep" / "masks" / part / "x.png", np.zeros((96, 128), np.uint8))
    assert add_labels(empty, tmp_path / "deep", tmp_path / "deep" / "masks").added == 2


def test_footage_that_gets_labels_is_not_doubled(empty: Site, tmp_path: Path) -> None:
    images, masks = label(tmp_path, range(6), suffix=".png")
    add_footage(empty, [images], "west")
    result = add_labels(empty, images, masks, "val")
    assert (result.added, result.labelled) == (0, 6)
    assert {(frame.camera, frame.split, frame.origin) for frame in empty.frames()} == {
        ("west", "val", "footage")
    }


def test_stored_frames_can_be_given_to_a_labelling_tool(empty: Site, tmp_path: Path) -> None:
    images, _ = label(tmp_path / "in", range(3))
    add_footage(Site.open(empty.root, ["data.max_side=64"]), [images])
    for frame in empty.frames():  # the tool saves them in another format, under the same name
        save_image(
            tmp_path / "out" / "images" / f"{frame.id}.png",
            np.asarray(Image.open(empty.path(frame.image))),
        )
        save_image(
            tmp_path / "out" / "masks" / f"{frame.id}.png",
            np.ones((frame.height, frame.width), np.uint8),
        )
    before = {frame.image for frame in empty.frames()}
    assert add_labels(empty, tmp_path / "out" / "images", tmp_path / "out" / "masks").labelled == 3
    assert {frame.image for frame in empty.frames()} == before
    [first, *_] = empty.frames()
    save_image(tmp_path / "bad" / f"{first.id}.png", scene(1))
    save_image(tmp_path / "badmask.png", np.zeros((96, 128), np.uint8))
    with pytest.raises(DataError, match="the frame of this name is 64x48"):
        add_labels(empty, tmp_path / "bad" / f"{first.id}.png", tmp_path / "badmask.png")


def test_too_large_labels_are_resized_together(empty: Site, tmp_path: Path) -> None:
    small = Site.open(empty.root, ["data.max_side=64"])
    picture = np.zeros((96, 128, 3), np.uint8)
    picture[:, 64:] = 255
    image = save_image(tmp_path / "half.png", picture)
    mask = save_palette_png(tmp_path / "mask.png", (picture[..., 0] // 255 * 2).astype(np.uint8))
    add_labels(small, image, mask)
    [frame] = empty.frames()
    stored, labels = (
        Image.open(empty.path(frame.image)),
        np.asarray(Image.open(empty.path(frame.mask or ""))),
    )
    assert stored.size == (64, 48) and labels.shape == (48, 64) == (frame.height, frame.width)
    assert set(labels[:, :32].ravel()) == {0} and set(labels[:, 32:].ravel()) == {2}


def test_adding_again_changes_nothing_and_new_masks_replace_old(
    empty: Site, tmp_path: Path
) -> None:
    images, masks = label(tmp_path, range(20))
    first = add_labels(empty, images, masks)
    before = file_contents(empty.root)
    again = add_labels(empty, images, masks)
    assert (first.added, again.added, again.present) == (20, 0, 20)
    assert file_contents(empty.root) == before
    save_image(masks / "3.png", np.ones((96, 128), np.uint8))
    assert add_labels(empty, images, masks).updated == 1
    assert empty.index.read_bytes() == before["frames.jsonl"]


def test_an_explicit_split_moves(empty: Site, tmp_path: Path) -> None:
    images, masks = label(tmp_path, range(3))
    add_labels(empty, images, masks, "val")
    assert add_labels(empty, images, masks).splits == {"val": 3}  # auto leaves them
    assert add_labels(empty, images, masks, "gate").moved == 3
    assert len(empty.frames("gate")) == 3
    with pytest.raises(DataError, match="there is no split 'test'"):
        add_labels(empty, images, masks, "test")


def _auto(empty: Site, tmp_path: Path, number: int) -> AddLabelsResult:
    return add_labels(empty, *label(tmp_path / str(number), range(number)))


def test_few_labels_are_placed_one_by_one(empty: Site, tmp_path: Path) -> None:
    result = _auto(empty, tmp_path, 5)
    assert result.splits == {"labelled": 3, "val": 1, "gate": 1}
    assert all(f"{seed}.jpg goes to " in "".join(result.notes) for seed in range(5))


def test_labels_of_one_short_stretch_say_so(empty: Site, tmp_path: Path) -> None:
    assert any("so many of the labels" in note for note in _auto(empty, tmp_path, 12).notes)


def test_binary_masks_of_255_are_pointed_out(empty: Site, tmp_path: Path) -> None:
    image = save_image(tmp_path / "one.jpg", scene(0))
    mask = save_image(
        tmp_path / "one.png", np.where(scene(0)[..., 0] > 128, np.uint8(255), np.uint8(0))
    )
    with pytest.raises(DataError, match=r"255 means not labelled; .* --map 255=ID; .* 255=ignore"):
        add_labels(empty, image, mask)
    [note] = [
        note
        for note in add_labels(empty, image, mask, rules=MaskRules(mapping=["255=ignore"])).notes
        if "alone" in note
    ]
    assert "hold sky and 255 (not labelled) alone" in note
    result = add_labels(empty, image, mask, rules=MaskRules(mapping=["255=bank"]))
    assert result.updated == 1 and not any("alone" in note for note in result.notes)


def test_no_class_0_is_a_note_where_the_site_shows_it_and_else_a_refusal(
    empty: Site, tmp_path: Path
) -> None:
    image = save_image(tmp_path / "one.jpg", scene(0))
    mask = save_image(tmp_path / "one.png", (scene(0)[..., 0] // 128 + 1).astype(np.uint8))
    with pytest.raises(DataError, match=r"holds id 0 \(sky\).* --first-id 1; .* --first-id 0"):
        add_labels(empty, image, mask)
    stated = add_labels(empty, image, mask, rules=MaskRules(first_id=0))
    assert not any("id 0" in note for note in stated.notes)
    add_labels(empty, *label(tmp_path / "first", [5]))
    assert any(
        "add them again with --first-id 1" in n for n in add_labels(empty, image, mask).notes
    )
    shifted = add_labels(empty, image, mask, rules=MaskRules(first_id=1))
    assert shifted.updated == 1 and not any("id 0" in note for note in shifted.notes)


def test_labels_keep_neighboring_footage_out_of_training(empty: Site, tmp_path: Path) -> None:
    for number in range(60):
        save_image(tmp_path / "all" / f"{number}.jpg", scene(number))
    add_footage(empty, [tmp_path / "all"])
    assert len(empty.frames("unlabelled")) == 60
    for number, split in ((5, "train"), (25, "val"), (45, "gate")):
        mask = save_image(tmp_path / f"{number}.png", np.zeros((96, 128), np.uint8))
        result = add_labels(empty, tmp_path / "all" / f"{number}.jpg", mask, split)
    assert result.withheld == 38
    assert {int(Path(frame.source).stem) for frame in empty.frames("unlabelled")} == set(
        range(20)
    ) - {5}
    assert len(empty.frames()) == 60
    again = add_footage(empty, [tmp_path / "all"])
    assert (again.kept, again.withheld) == (0, 38)
    look_alike = save_image(tmp_path / "other" / "copy.png", scene(25, 192, 256))
    assert add_footage(empty, [look_alike]).kept == 0
