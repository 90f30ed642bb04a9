"""Frames whose shape networks do not have are told of, with a size that fits them."""

from __future__ import annotations

import pytest

from edgeseg.data.frame_shapes import distortion, fitting_size, shape_advice
from edgeseg.site import Frame


def frame(height: int, width: int) -> Frame:
    return Frame(
        id=f"camera-{height}x{width}",
        camera="camera",
        time=0.0,
        source="x.mp4",
        split="unlabelled",
        image="frames/camera/x.jpg",
        mask=None,
        height=height,
        width=width,
        hash="0" * 16,
        origin="footage",
    )


@pytest.mark.parametrize(
    ("shape", "imgsz"),
    [((1920, 1080), (384, 512)), ((720, 1280), (384, 512)), ((300, 1000), (256, 256))],
)
def test_a_fitting_size_costs_the_same_and_hardly_distorts(
    shape: tuple[int, int], imgsz: tuple[int, int]
) -> None:
    size = fitting_size(shape, imgsz)
    assert size[0] % 32 == size[1] % 32 == 0
    assert distortion(shape, size) < 1.1
    assert 0.8 <= size[0] * size[1] / (imgsz[0] * imgsz[1]) <= 1.25


def test_portrait_frames_in_a_landscape_input_are_told_of() -> None:
    advice = shape_advice([frame(1920, 1080)] * 3, (384, 512), "stretch")
    assert "1080x1920" in advice and "2.37 times" in advice and "imgsz = [576, 320]" in advice
    assert "58 % of it gray" in shape_advice([frame(1920, 1080)], (384, 512), "letterbox")
    assert "58 % of their pixels" in shape_advice([frame(1920, 1080)], (384, 512), "crop")


def test_frames_of_several_shapes_get_the_size_that_is_nearest_to_all() -> None:
    advice = shape_advice([frame(540, 960), frame(360, 480)], (512, 384), "stretch")
    assert "fits them" not in advice and "comes nearest to all of them (1.1" in advice
    upright_too = [frame(1080, 1920), frame(1920, 1080)]
    assert "comes nearest to all of them (1.7" in shape_advice(upright_too, (384, 512), "stretch")
    assert "no imgsz fits" in shape_advice(upright_too, (448, 448), "letterbox")


def test_frames_that_nearly_fit_are_not_talked_about() -> None:
    assert not shape_advice([frame(480, 640), frame(360, 480)], (384, 512), "stretch")


def test_frames_of_one_shape_are_not_said_to_differ() -> None:
    strip = [frame(100, 1000)]
    advice = shape_advice(strip, (256, 256), "letterbox")
    assert "imgsz = [96, 832]" in advice and "differ" not in advice
    assert "larger imgsz" in shape_advice(strip, (32, 32), "crop")


@pytest.mark.parametrize("imgsz", [(518, 518), (448, 448)])
def test_sizes_for_patches_of_14_pixels_are_multiples_of_14(imgsz: tuple[int, int]) -> None:
    encoder = "vit_small_patch14_dinov2"
    size = fitting_size((1080, 1920), imgsz, encoder)
    assert not size[0] % 14 and not size[1] % 14
    advice = shape_advice([frame(1080, 1920)], imgsz, "stretch", encoder)
    assert f"[{size[0]}, {size[1]}] in [train]" in advice
    height, width = advice.split("] in [distill]")[0].split("[")[-1].split(",")
    assert int(height) % 32 == int(width) % 32 == 0


def test_a_few_odd_pictures_do_not_shape_the_input_of_all() -> None:
    frames = [frame(384, 512)] * 38 + [frame(3, 1000), frame(9000, 1)]
    assert not shape_advice(frames, (384, 512), "letterbox")
    assert "1x9000" in shape_advice([frame(9000, 1)], (384, 512), "letterbox")
