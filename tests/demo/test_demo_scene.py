"""The synthetic site: what must be true of every frame and its mask, and of the seasons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from edgeseg.demo.renderer.camera_view import Pose, camera_rays, reflect_rays
from edgeseg.demo.renderer.lighting import Conditions, light_at
from edgeseg.demo.renderer.materials import SKY_CLASS, STRUCTURE_CLASS, WATER_CLASS
from edgeseg.demo.renderer.scene import Scene
from edgeseg.demo.seasons import AUTUMN_POSE, autumn, mornings, summer


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


def test_the_sun_moves_from_east_to_west_and_is_high_at_noon() -> None:
    morning, noon, evening = (light_at(Conditions(hour=hour)) for hour in (7, 12, 18))
    assert noon.elevation > max(morning.elevation, evening.elevation) > 0
    assert noon.elevation > light_at(Conditions(day=300, hour=12)).elevation
    assert (
        light_at(Conditions(hour=23.5)).elevation < 0 and light_at(Conditions(hour=23.5)).lamp > 0
    )
    assert morning.toward[2] < 0 < evening.toward[2]  # the camera looks west
    dawn = light_at(Conditions(hour=5.5))
    assert dawn.sun[0] / dawn.sun[2] > noon.sun[0] / noon.sun[2]  # low sun is warm
    assert noon.lamp == 0


def test_a_ray_leaves_the_water_where_it_met_it() -> None:
    view = camera_rays(Pose(), 48, 64)
    mirrored, t = reflect_rays(view, 0.3)
    rows = slice(30, 48)
    there, back = view.at(t), mirrored.at(t)
    for one, other in zip(there, back, strict=True):
        assert np.allclose(one[rows], other[rows], atol=1e-3)
    assert np.allclose(there[1][rows], 0.3, atol=1e-3)
    assert np.array_equal(view.direction[1], -mirrored.direction[1])


def _moments(kind: str) -> list[Conditions]:
    makers = {"mornings": mornings, "summer": summer, "autumn": autumn}
    moments: Iterator[Conditions] = makers[kind](np.random.default_rng(1), 60)
    return list(moments)


def test_labels_come_from_fair_mornings_and_footage_from_all_of_summer() -> None:
    labelled, footage = _moments("mornings"), _moments("summer")
    assert all(
        7 <= moment.hour <= 9.5 and not moment.rain and not moment.fog for moment in labelled
    )
    assert (
        min(moment.hour for moment in footage) < 6 and max(moment.hour for moment in footage) > 21
    )
    assert any(moment.rain > 0.2 for moment in footage) and any(
        moment.fog > 0.2 for moment in footage
    )
    assert np.std([m.level for m in footage]) > 3 * np.std([m.level for m in labelled])


def test_autumn_is_another_world() -> None:
    footage, later = _moments("summer"), _moments("autumn")
    assert min(moment.day for moment in later) > max(moment.day for moment in footage) + 30
    assert min(moment.turbidity for moment in later) > np.mean(
        [moment.turbidity for moment in footage]
    )
    assert all(moment.dirt > 0 for moment in later) and not any(moment.dirt for moment in footage)
    assert np.mean([m.level for m in later]) > 0.6 + np.mean([m.level for m in footage])


def test_the_frames_of_a_day_share_its_weather() -> None:
    days: dict[float, set[float]] = {}
    for moment in _moments("summer"):
        days.setdefault(moment.day, set()).add(moment.cloud)
    assert len(days) == 6 and all(len(clouds) == 1 for clouds in days.values())
    assert len({next(iter(clouds)) for clouds in days.values()}) == 6
