"""The options about masks: what they do, and how impossible ones are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.data.ingest.masks.mask_reader import read_mask_file
from edgeseg.data.ingest.masks.mask_rules import MaskRules, parse_rules
from edgeseg.errors import ConfigError, DataError
from edgeseg.site import Site
from tests.helpers.footage import new_site, save_image


@pytest.fixture
def empty(tmp_path: Path) -> Site:
    return new_site(tmp_path / "site")


@pytest.mark.parametrize(
    ("rules", "values", "expected"),
    [
        (MaskRules(mapping=["255=1", "1=0"]), [0, 1, 255], [0, 0, 1]),
        (MaskRules(mapping=["1=2", "2=1"]), [0, 1, 2], [0, 2, 1]),  # at once, not in turns
        (MaskRules(mapping=["7=water", "9=IGNORE", "0=255"]), [0, 7, 9], [255, 1, 255]),
        (MaskRules(first_id=1), [1, 3, 255], [0, 2, 255]),
        (MaskRules(first_id=1, mapping=["0=ignore"]), [0, 1, 3], [255, 0, 2]),
        (MaskRules(first_id=1, mapping=["255=2"]), [1, 255], [0, 2]),
        (MaskRules(ignore=[1], mapping=["5=1"]), [0, 1, 5], [0, 255, 1]),
    ],
)
def test_ids_stand_for_what_was_said(
    empty: Site, tmp_path: Path, rules: MaskRules, values: list[int], expected: list[int]
) -> None:
    path = save_image(tmp_path / "mask.png", np.array([values], np.uint8))
    assert read_mask_file(path, empty.config, rules).tolist() == [expected]


def test_colors_stand_for_what_was_said(empty: Site, tmp_path: Path) -> None:
    colors = np.array([[(255, 255, 255), (1, 2, 3), empty.config.palette[2]]], np.uint8)
    path = save_image(tmp_path / "mask.png", colors)
    rules = MaskRules(mapping=["#FFFFFF=bank", "#010203=ignore"])
    assert read_mask_file(path, empty.config, rules).tolist() == [[2, 255, 2]]


def test_an_id_before_the_first_is_told(empty: Site, tmp_path: Path) -> None:
    path = save_image(tmp_path / "mask.png", np.array([[0, 1, 3]], np.uint8))
    with pytest.raises(DataError, match=r"class ids 0, but the site has 1 to 3 .*--map 0=ignore"):
        read_mask_file(path, empty.config, MaskRules(first_id=1))


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (MaskRules(mapping=["255"]), "is not OLD=NEW"),
        (MaskRules(mapping=["256=1"]), "does not begin with an id"),
        (MaskRules(mapping=["#12345=1"]), "does not begin with an id"),
        (MaskRules(mapping=["-1=1"]), "does not begin with an id"),
        (MaskRules(mapping=["4=3"]), r"ends in no class of the site; give one of 0 \(sky\)"),
        (MaskRules(mapping=["4=river"]), "ends in no class of the site"),
        (MaskRules(mapping=["4=1", "4=2"]), "two options give 4 two meanings"),
        (MaskRules(mapping=["4=1"], ignore=[4]), "two options give 4 two meanings"),
        (MaskRules(ignore=[300]), "--ignore 300"),
        (MaskRules(first_id=255), "--first-id 255"),
        (MaskRules(first_id=253), "--first-id 253"),  # the last of three classes would be 255
        (MaskRules(palette="colour"), "--palette 'colour' is unknown"),
    ],
)
def test_impossible_rules_are_refused(empty: Site, rules: MaskRules, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_rules(rules, empty.config)
