"""What runs are checked bytes of the right file, and what comes out is what was painted."""

from __future__ import annotations

import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.bundle import MANIFEST, Bundle, write_bundle
from edgeseg.bundle.onnx_scan import scan_onnx
from edgeseg.errors import BundleError, DependencyError
from edgeseg.installation import install_command
from edgeseg.processor import available_cores
from edgeseg.runtime.backends import open_runner as module
from edgeseg.runtime.backends.flavour_choice import choose_flavour
from edgeseg.runtime.backends.open_runner import open_runner
from tests.helpers.bundles import (
    CLASSES,
    HEIGHT,
    STRIDE,
    WIDTH,
    make_bundle,
    manifest,
    marked,
    network,
    painted,
)

TILES = np.array([[0, 1, 2], [3, 2, 1]])
TRUTH = np.repeat(np.repeat(TILES, HEIGHT // 2, 0), WIDTH // 3, 1)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_prediction_is_what_was_painted(bundle_path: Path, precision: Any) -> None:
    with open_runner(bundle_path, "cpu", precision) as run:
        found = run(painted(TILES)[None])
    assert found.mask.dtype == np.uint8 and (found.mask[0] == TRUTH).mean() > 0.99
    assert (
        found.entropy.shape == (1, HEIGHT // STRIDE, WIDTH // STRIDE)
        and found.entropy.dtype == np.float32
    )
    assert found.area[0] == pytest.approx(
        np.bincount(TRUTH.ravel(), minlength=4) / TRUTH.size, abs=0.02
    )
    assert found.score.shape == (1,) and found.score[0] < 0.1


def test_score_rises_where_colors_lie_between_classes(bundle_path: Path) -> None:
    with open_runner(bundle_path, "cpu", "fp32") as run:
        clear, unclear = (
            run(picture[None]).score[0] for picture in (painted(TILES), painted(TILES) // 2)
        )
    assert clear < 0.1 < 0.5 < unclear


def test_many_frames_in_one_call_are_predicted_one_by_one(bundle_path: Path) -> None:
    frames = np.stack([painted(TILES), painted(TILES[::-1])])
    with open_runner(bundle_path, precision="fp32") as run:
        both, second = run(frames), run(frames[1:])
    assert (
        both.mask.shape == (2, HEIGHT, WIDTH)
        and both.area.shape == (2, len(CLASSES))
        and both.score.shape == (2,)
    )
    assert np.array_equal(both.mask[1], second.mask[0]) and not np.array_equal(
        both.mask[0], both.mask[1]
    )


def test_streams_may_be_called_at_once(bundle_path: Path) -> None:
    frames = [
        painted(np.random.default_rng(seed).integers(0, 4, (2, 3)))[None] for seed in range(40)
    ]
    with open_runner(bundle_path, precision="int8", threads=2, streams=2) as run:
        assert run.streams == 2
        alone = [run(frame).mask for frame in frames]
        with ThreadPoolExecutor(2) as pool:
            together = [prediction.mask for prediction in pool.map(run, frames)]
    assert np.array_equal(alone, together)


def test_streams_and_threads_follow_the_machine(bundle_path: Path) -> None:
    with open_runner(bundle_path, "cpu", streams=0) as run:
        assert run.streams == min(available_cores(), module.MAX_STREAMS)


@pytest.mark.parametrize(
    ("figures", "flavour"),
    [
        ({"int8-cpu": {"speedup": 1.0}}, "int8-cpu"),
        ({"int8-cpu": {"speedup": 0.9}}, "fp32"),
        ({}, "fp32"),
        ({"int8-cpu": 3}, "fp32"),
    ],
)
def test_auto_takes_int8_where_it_was_found_no_slower(
    tmp_path: Path, figures: Any, flavour: str
) -> None:
    assert choose_flavour(make_bundle(tmp_path / "b", figures=figures), "cpu", "auto") == flavour


def test_auto_takes_fp32_where_there_is_no_int8(tmp_path: Path) -> None:
    assert choose_flavour(make_bundle(tmp_path / "b", int8=False), "cpu", "auto") == "fp32"


def flavours(path: Path, **files: bytes) -> Bundle:
    named = {"model.onnx": network().SerializeToString()}
    named |= {f"model.{name.replace('_', '-')}.onnx": data for name, data in files.items()}
    return write_bundle(path, manifest(), named)


def test_each_back_end_takes_its_own_flavour(tmp_path: Path) -> None:
    bundle = flavours(tmp_path / "b", int8_cpu=b"x", int8_trt=b"x", fp16=b"x")
    assert [choose_flavour(bundle, back_end, "int8") for back_end in ("cpu", "tensorrt")] == [
        "int8-cpu",
        "int8-trt",
    ]
    assert [choose_flavour(bundle, back_end, "fp16") for back_end in ("cuda", "tensorrt")] == [
        "fp16",
        "fp16",
    ]
    refused = [
        ("cpu", "int8-trt"),
        ("tensorrt", "int8-cpu"),
        ("cuda", "int8"),
        ("cuda", "int8-cpu"),
        ("cpu", "fp16"),
    ]
    for back_end, precision in refused:
        with pytest.raises(BundleError, match=f"cannot run {precision} on {back_end}"):
            # Names from a list.
            choose_flavour(bundle, back_end, precision)  # type: ignore[arg-type]


def test_a_missing_int8_file_is_told_with_what_is_there_instead(tmp_path: Path) -> None:
    bundle = flavours(tmp_path / "b", int8_trt=b"x")
    with pytest.raises(
        BundleError, match=r"holds no model\.int8-cpu\.onnx.*model\.int8-trt\.onnx.*--int8"
    ):
        choose_flavour(bundle, "cpu", "int8")


def test_a_file_of_the_wrong_flavour_does_not_run_under_a_right_name(tmp_path: Path) -> None:
    bundle = flavours(tmp_path / "b", int8_cpu=marked(network(), "int8-trt"))
    with (
        pytest.raises(BundleError, match="made as int8-trt, but int8-cpu is needed"),
        open_runner(bundle, "cpu", "int8"),
    ):
        pass


def test_a_flipped_bit_anywhere_in_the_graph_is_refused(bundle_path: Path, tmp_path: Path) -> None:
    good = (bundle_path / "model.onnx").read_bytes()
    for seed in range(25):
        path = tmp_path / str(seed)
        shutil.copytree(bundle_path, path)
        at = int(np.random.default_rng(seed).integers(len(good)))
        (path / "model.onnx").write_bytes(
            good[:at] + bytes([good[at] ^ 1 << seed % 8]) + good[at + 1 :]
        )
        with pytest.raises(BundleError, match="damaged"), open_runner(path, "cpu", "fp32"):
            pass


def test_the_engine_gets_the_bytes_that_were_checked(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b"
    shutil.copytree(bundle_path, path)
    checked = scan_onnx

    def swap(data: bytes, **rest: Any) -> object:
        (path / "model.onnx").write_bytes(b"something else")  # between check and use
        return checked(data, **rest)

    monkeypatch.setattr("edgeseg.bundle.verification.scan_onnx", swap)
    with open_runner(path, "cpu", "fp32") as run:
        assert (run(painted(TILES)[None]).mask[0] == TRUTH).mean() > 0.99


def test_a_graph_that_is_not_what_the_manifest_says_is_refused(tmp_path: Path) -> None:
    for change in ({"width": 128}, {"entropy_height": 8}, {"classes": CLASSES[:3]}):
        bundle = make_bundle(tmp_path / next(iter(change)), int8=False, **change)
        with pytest.raises(BundleError, match="as its manifest says"), open_runner(bundle, "cpu"):
            pass


def test_a_graph_that_the_engine_cannot_load_is_one_sentence(tmp_path: Path) -> None:
    model = network()
    model.graph.node[3].op_type = "NoSuchOperator"
    bundle = write_bundle(tmp_path / "b", manifest(), {"model.onnx": model.SerializeToString()})
    with pytest.raises(BundleError, match="cannot load") as caught, open_runner(bundle, "cpu"):
        pass
    assert "\n" not in str(caught.value) and "NoSuchOperator" in str(caught.value)


def test_a_missing_engine_names_the_extra(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "edgeseg.runtime.backends.onnxruntime_backend", raising=False)
    monkeypatch.delattr("edgeseg.runtime.backends.onnxruntime_backend", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with (
        pytest.raises(DependencyError, match=re.escape(install_command("device"))),
        open_runner(bundle_path),
    ):
        pass


def test_an_engine_without_the_back_end_says_what_to_install(
    bundle_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DependencyError, match="onnxruntime-gpu"), open_runner(bundle_path, "cuda"):
        pass


def test_current_may_be_a_link_and_a_manifest_may_not_be_deep(
    bundle_path: Path, tmp_path: Path
) -> None:
    link = tmp_path / "current"
    link.symlink_to(bundle_path)
    assert Bundle.open(link).path == bundle_path
    deep = tmp_path / "deep"
    shutil.copytree(bundle_path, deep)
    (deep / MANIFEST).write_text("[" * 200_000)
    with pytest.raises(BundleError):
        Bundle.open(deep)
