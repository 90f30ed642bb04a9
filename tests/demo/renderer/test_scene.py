"""Properties of every frame and its mask."""

from __future__ import annotations

import numpy as np
import pytest

from edgeseg.demo.renderer.lighting import Conditions
from edgeseg.demo.renderer.materials import SKY_CLASS, STRUCTURE_CLASS, WATER_CLASS
from edgeseg.demo.renderer.scene import Scene
from edgeseg.demo.seasons import AUTUMN_POSE


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(96, 144)


def test_a_frame_has_every_class_and_fits_its_mask(scene: Scene) -> None:
    image, mask = scene.render(Conditions())
    assert image.shape == (96, 144, 3) and image.dtype == np.uint8
    assert mask.shape == (96, 144) and mask.dtype == np.uint8
    shares = np.bincount(mask.ravel(), minlength=5) / mask.size
    assert len(shares) == 5 and shares.min() > 0.02


def test_same_conditions_same_frame_other_seed_other_noise(scene: Scene) -> None:
    image, mask = scene.render(Conditions(seed=4))
    again, mask_again = Scene(96, 144).render(Conditions(seed=4))
    assert np.array_equal(image, again) and np.array_equal(mask, mask_again)
    assert not np.array_equal(image, scene.render(Conditions(seed=5))[0])


def test_the_river_rises_over_the_bank(scene: Scene) -> None:
    shares = [
        float((scene.render(Conditions(level=level))[1] == WATER_CLASS).mean())
        for level in (-0.6, 0.2, 1.0)
    ]
    assert shares[0] < shares[1] < shares[2]


def test_weather_changes_the_picture_and_not_the_truth(scene: Scene) -> None:
    clear, truth = scene.render(Conditions(seed=9))
    for other in (
        Conditions(seed=9, fog=0.7),
        Conditions(seed=9, rain=0.9, cloud=0.9),
        Conditions(seed=9, hour=23.5),
    ):
        image, mask = scene.render(other)
        assert np.array_equal(mask, truth)
        assert np.abs(image.astype(int) - clear).mean() > 8


def test_fog_takes_contrast_and_night_takes_color(scene: Scene) -> None:
    clear, fog, night = (
        scene.render(c)[0].astype(float)
        for c in (Conditions(), Conditions(fog=0.8), Conditions(hour=23.5))
    )
    assert fog[40:].std() < 0.7 * clear[40:].std()
    assert np.ptp(night, axis=-1).mean() < np.ptp(clear, axis=-1).mean()


def test_leaves_turn(scene: Scene) -> None:
    june, october = (
        scene.render(Conditions(day=day, hour=12, cloud=0.1))[0].astype(float) for day in (170, 295)
    )
    trees = scene.render(Conditions())[1] == 3
    assert (october - june)[trees][:, 0].mean() > (october - june)[trees][
        :, 1
    ].mean() + 5  # red gains on green


def test_a_dirty_lens_leaves_marks(scene: Scene) -> None:
    clean, dirty = (scene.render(Conditions(dirt=dirt))[0].astype(float) for dirt in (0.0, 0.8))
    assert np.abs(clean - dirty).mean() > 4


def test_another_pose_moves_the_mask(scene: Scene) -> None:
    summer_mask, autumn_mask = (
        scene.render(Conditions())[1],
        scene.render(Conditions(), AUTUMN_POSE)[1],
    )
    assert 0.02 < (summer_mask != autumn_mask).mean() < 0.3


def test_boats_are_structure_on_the_water(scene: Scene) -> None:
    masks = [scene.render(Conditions(seed=seed, wind=0.0))[1] for seed in range(12)]
    usual = np.median(np.stack(masks), 0)
    boats = [(mask == STRUCTURE_CLASS) & (usual == WATER_CLASS) for mask in masks]
    assert 1 <= sum(boat.sum() > 8 for boat in boats) <= 10


@pytest.mark.parametrize("size", [(64, 96), (96, 160), (130, 190)])
def test_sizes(size: tuple[int, int]) -> None:
    image, mask = Scene(*size).render(Conditions(level=0.5, seed=1))
    assert image.shape[:2] == mask.shape == size
    assert (mask[: size[0] // 8] == SKY_CLASS).mean() > 0.5
