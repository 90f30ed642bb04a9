"""TensorRT for RTX behind `open_runner`: built for the GPU at hand, its kernels kept, and refused
where it serves no GPU.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.bundle import Bundle
from edgeseg.bundle.graph_signature import OUTPUTS
from edgeseg.errors import DependencyError
from edgeseg.runtime.backends.engine_cache import KERNELS, EngineCache
from edgeseg.runtime.backends.open_runner import open_runner, resolve_backend
from tests.fakes.tensorrt_fake import RTX_VERSIONS
from tests.helpers.bundles import painted
from tests.helpers.engines import RTX, Box, engine_bundle, install

FRAMES = np.stack(
    [painted(np.random.default_rng(seed).integers(0, 4, (2, 3))) for seed in range(3)]
)
CARD = (8, 6)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return engine_bundle(tmp_path_factory.mktemp("rtx") / "b")


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Box:
    return install(monkeypatch, tmp_path / "cache", RTX, compute=CARD)


def kept_kernels() -> Path:
    (found,) = EngineCache().folder.rglob(KERNELS)
    return found


@pytest.mark.parametrize("version", RTX_VERSIONS)
def test_every_version_predicts_what_onnx_runtime_does(
    version: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = install(monkeypatch, tmp_path / "cache", version, compute=CARD)
    with (
        open_runner(bundle, "cpu", "fp32") as reference,
        open_runner(bundle, "tensorrt-rtx", "fp32", report=box) as run,
    ):
        wanted, found = reference(FRAMES), run(FRAMES)
        assert (run.backend, run.flavour) == ("tensorrt-rtx", "fp32")
    assert all(np.array_equal(getattr(found, name), getattr(wanted, name)) for name in OUTPUTS)
    assert box.cuda.balanced, (box.cuda.live, box.cuda.faults)
    assert "IBuilderConfig.set_compute_capability(CURRENT, 0)" in box.trt.log
    assert f"building a TensorRT for RTX {version} engine" in box.said[0]


def test_kernels_are_kept_beside_the_engine_and_used_again(box: Box, bundle: Bundle) -> None:
    with open_runner(bundle, "tensorrt-rtx", "int8"):
        pass
    kernels = kept_kernels().read_bytes()
    assert kernels == f"kernels of {RTX} for {CARD}".encode()
    box.trt.log.clear()
    with open_runner(bundle, "tensorrt-rtx", "int8"):
        steps = [
            "ICudaEngine.create_runtime_config()",
            "IRuntimeConfig.create_runtime_cache()",
            "IRuntimeCache.deserialize()",
            "IRuntimeConfig.set_runtime_cache()",
            "ICudaEngine.create_execution_context()",
        ]
        places = [box.trt.log.index(step) for step in steps]
    assert places == sorted(places) and box.builds == 1
    assert kept_kernels().read_bytes() == kernels


def test_kernels_that_do_not_fit_are_replaced(box: Box, bundle: Bundle) -> None:
    with open_runner(bundle, "tensorrt-rtx", "int8"):
        pass
    right = kept_kernels().read_bytes()
    kept_kernels().write_bytes(b"kernels of another driver")
    with open_runner(bundle, "tensorrt-rtx", "int8") as run:
        assert run(FRAMES).mask.shape[0] == len(FRAMES)
    assert kept_kernels().read_bytes() == right and box.builds == 1 and box.cuda.balanced


def test_auto_takes_it_where_it_is_the_only_library(box: Box, bundle: Bundle) -> None:
    assert resolve_backend("auto") == "tensorrt-rtx"
    with open_runner(bundle, report=box) as run:
        assert (run.backend, run.flavour) == ("tensorrt-rtx", "int8-trt")


def test_a_gpu_that_it_does_not_serve_is_named(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = install(monkeypatch, tmp_path / "cache", RTX, compute=(8, 7))
    with (
        pytest.raises(DependencyError, match=r"serves GPUs of .* 8\.6, .* and Fake Orin has 8\.7"),
        open_runner(bundle, "tensorrt-rtx"),
    ):
        pass
    with open_runner(bundle, report=box) as run:
        assert run.backend == "cpu"
    assert len(box.said) == 1 and "going on without TensorRT for RTX" in box.said[0]


def test_without_a_gpu_it_is_one_sentence(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, tmp_path / "cache", RTX, {"no-driver"}, devices=0)
    with (
        pytest.raises(DependencyError, match="cannot use tensorrt-rtx: CUDA shows no GPU"),
        open_runner(bundle, "tensorrt-rtx"),
    ):
        pass
