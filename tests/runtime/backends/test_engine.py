"""Running an engine: the same numbers as ONNX Runtime, right order of release, and no leak whatever
call fails.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.bundle import Bundle, Flavour
from edgeseg.bundle.graph_signature import OUTPUTS, GraphSignature
from edgeseg.config import EngineConfig
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.cuda_runtime import CudaRuntime
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.backends.tensorrt.building.build_recipe import BuildRecipe
from edgeseg.runtime.backends.tensorrt.building.engine_builder import build_engine
from edgeseg.runtime.backends.tensorrt.building.messages import TensorRTMessages
from edgeseg.runtime.backends.tensorrt.engine import Engine, EngineNotLoadable, TensorRTRunner
from tests.fakes.cudart_fake import FakeCuda
from tests.fakes.tensorrt_fake import VERSIONS, FakeTensorRT
from tests.helpers.bundles import HEIGHT, WIDTH, manifest, painted
from tests.helpers.engines import JETSON, NEW, engine_bundle, int8_trt

SIGNATURE = GraphSignature.of(manifest())
FRAMES = np.stack(
    [painted(np.random.default_rng(seed).integers(0, 4, (2, 3))) for seed in range(6)]
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return engine_bundle(tmp_path_factory.mktemp("engines") / "b")


def load(
    version: str, cuda: FakeCuda, data: bytes, *faults: str, **options: Any
) -> Engine:  # Any: as Engine
    """An engine of `data`, built without faults and loaded with them."""
    trt = FakeTensorRT(version, cuda)
    messages = TensorRTMessages(lambda text: None)
    logger = messages.logger(trt)
    plan = build_engine(
        trt, data, BuildRecipe.of(trt, "int8-trt", EngineConfig()), SIGNATURE, messages, logger
    ).plan
    trt.faults = set(faults)
    cuda.log.clear()
    return Engine(trt, CudaRuntime(cuda), plan, SIGNATURE, logger, **options)


@pytest.mark.parametrize("graphs", [False, True])
@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_predicts_what_onnx_runtime_does(
    version: str, integrated: bool, graphs: bool, bundle: Bundle
) -> None:
    cuda = FakeCuda(integrated=integrated)
    engine = load(version, cuda, int8_trt(), graphs=graphs)
    runner = TensorRTRunner(bundle, "int8-trt", engine, 1)
    with open_runner(bundle, "cpu", "fp32") as reference:
        wanted, found = reference(FRAMES), runner(FRAMES)
    assert (found.mask == wanted.mask).mean() > 0.99  # the reference is FP32, the engine INT8
    for name in OUTPUTS:
        one, other = getattr(found, name), getattr(wanted, name)
        assert one.shape == other.shape and one.dtype == other.dtype
    assert engine.notes == [] and cuda.calls["cudaGraphLaunch"] == (len(FRAMES) if graphs else 0)
    assert (cuda.calls["cudaMemcpyAsync"] == 0) == integrated
    runner.close()
    assert cuda.balanced, (cuda.live, cuda.faults)


@pytest.mark.parametrize("flavour", ["fp32", "fp16"])
def test_the_same_file_gives_the_same_numbers(flavour: Flavour, bundle: Bundle) -> None:
    engine = load(NEW, FakeCuda(), bundle.read("model.onnx"))
    with open_runner(bundle, "cpu", "fp32") as reference:
        wanted, found = reference(FRAMES), TensorRTRunner(bundle, flavour, engine, 1)(FRAMES)
    assert all(np.array_equal(getattr(found, name), getattr(wanted, name)) for name in OUTPUTS)
    engine.close()


def test_a_board_with_shared_memory_may_still_copy() -> None:
    cuda = FakeCuda(integrated=True)
    engine = load(JETSON, cuda, int8_trt(), mapped=False)
    assert cuda.calls["cudaMalloc"] == 5 and cuda.calls["cudaHostGetDevicePointer"] == 0
    engine.close()


def test_two_lanes_serve_two_threads_and_never_share_a_context() -> None:
    cuda = FakeCuda(integrated=True)
    engine = load(JETSON, cuda, int8_trt(), lanes=2)
    alone = [engine.run(frame[None]).mask for frame in FRAMES]
    with ThreadPoolExecutor(4) as pool:
        together = [
            found.mask for found in pool.map(engine.run, [frame[None] for frame in FRAMES] * 5)
        ]
    assert np.array_equal(together, alone * 5)
    assert (
        cuda.log.count("ICudaEngine.create_execution_context()")
        == 2
        == cuda.calls["cudaStreamCreateWithFlags"]
    )
    engine.close()
    assert cuda.balanced


def released(log: list[str]) -> list[str]:
    """What was given back, each kind once, in order."""
    ends = ("cudaGraphExecDestroy", "del IExecutionContext", "del ICudaEngine", "del Runtime")
    memory = ("cudaFree", "cudaFreeHost", "cudaStreamDestroy")
    return list(
        dict.fromkeys(
            "memory" if line in memory else line for line in log if line in (*ends, *memory)
        )
    )


def test_release_goes_from_the_context_to_the_memory() -> None:
    cuda = FakeCuda()
    load(JETSON, cuda, int8_trt(), lanes=2).close()
    order = [
        "cudaGraphExecDestroy",
        "del IExecutionContext",
        "del ICudaEngine",
        "del Runtime",
        "memory",
    ]
    assert released(cuda.log) == order and cuda.balanced


def test_calls_for_a_frame_come_in_order() -> None:
    cuda = FakeCuda()
    engine = load(JETSON, cuda, int8_trt(), graphs=False)
    steps = [
        "Runtime()",
        "Runtime.deserialize_cuda_engine()",
        "ICudaEngine.create_execution_context()",
        "IExecutionContext.infer_shapes()",
        "cudaMemcpyAsync",
    ]
    places = [cuda.log.index(step) for step in steps]
    assert places == sorted(places)
    addresses = [
        line for line in cuda.log if line.startswith("IExecutionContext.set_tensor_address(")
    ]
    assert len(addresses) == 5
    cuda.log.clear()
    engine.run(FRAMES[:1])
    shown = [line.partition("(")[0] for line in cuda.log]
    assert shown == [
        "cudaMemcpyAsync",
        "IExecutionContext.execute_async_v3",
        *["cudaMemcpyAsync"] * 4,
        "cudaStreamSynchronize",
    ]
    engine.close()


FAULTS = [
    (
        "deserialize",
        EngineNotLoadable,
        "cannot load the engine built here; `edgeseg build --force`",
    ),
    ("context", EngineError, "no memory left"),
    ("address", EngineError, "does not take the memory for 'score'"),
    ("infer_shapes", EngineError, "leaves image open"),
    ("execute", EngineError, "could not start the engine"),
    ("types", EngineError, "engine's score are not what"),
    ("extra", EngineError, "engine's area are not what"),
]


@pytest.mark.parametrize(("fault", "kind", "sentence"), FAULTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_every_refusal_is_a_sentence_and_leaves_nothing_behind(
    version: str, fault: str, kind: type[EngineError], sentence: str
) -> None:
    cuda = FakeCuda()
    with pytest.raises(EngineError, match=sentence) as caught:
        load(version, cuda, int8_trt(), fault, lanes=2)
    assert type(caught.value) is kind and cuda.balanced, (cuda.live, cuda.faults)
    order = released(cuda.log)
    assert order[-1] == "memory" and order[:-1] == [
        line
        for line in ("del IExecutionContext", "del ICudaEngine", "del Runtime")
        if line in order
    ]


def calls_of_a_load(**options: Any) -> dict[str, int]:  # Any: as Engine
    cuda = FakeCuda(integrated=options.pop("integrated", False))
    engine = load(JETSON, cuda, int8_trt(), **options)
    engine.run(FRAMES[:1])
    return dict(cuda.calls)


@pytest.mark.parametrize("integrated", [False, True])
def test_each_cuda_call_failing_in_turn_releases_everything(integrated: bool) -> None:
    plan_of: dict[str, bytes] = {}
    trt = FakeTensorRT(JETSON, FakeCuda())
    messages = TensorRTMessages(lambda text: None)
    recipe = BuildRecipe.of(trt, "int8-trt", EngineConfig())
    plan_of["plan"] = build_engine(
        trt, int8_trt(), recipe, SIGNATURE, messages, messages.logger(trt)
    ).plan
    releases = {
        "cudaFree",
        "cudaFreeHost",
        "cudaStreamDestroy",
        "cudaGraphDestroy",
        "cudaGraphExecDestroy",
    }
    captures = {"cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiateWithFlags"}
    outcomes: dict[str, set[str]] = {}
    for name, times in calls_of_a_load(integrated=integrated, lanes=2).items():
        for nth in range(1, times + 1):
            cuda = FakeCuda(integrated=integrated, fail={name: nth})
            fake = FakeTensorRT(JETSON, cuda)
            outcome = "ran"
            try:
                engine = Engine(
                    fake,
                    CudaRuntime(cuda),
                    plan_of["plan"],
                    SIGNATURE,
                    TensorRTMessages(lambda text: None).logger(fake),
                    lanes=2,
                )
                try:
                    engine.run(FRAMES[:1])
                    outcome = "noted" if engine.notes else "ran"
                finally:
                    engine.close()
            except EngineError as error:
                assert name in str(error)
                outcome = "refused"
            outcomes.setdefault(name, set()).add(outcome)
            if (
                name in releases
            ):  # the device itself failed to release: nothing else may be left over
                assert sum(map(len, cuda.live.values())) == 1
            else:
                assert cuda.balanced, (name, nth, cuda.live, cuda.faults)
    for name, found in outcomes.items():
        expected = {"ran"} if name in releases | {"cudaGetLastError"} else {"refused"}
        if name in captures or (name == "cudaMemcpyAsync" and not integrated):
            expected = {"noted"} if name in captures else {"refused", "noted"}
        assert found == expected, name


def test_a_failed_capture_runs_on_without_a_graph() -> None:
    cuda = FakeCuda(fail={"cudaGraphInstantiateWithFlags": 1})
    engine = load(JETSON, cuda, int8_trt())
    assert "no CUDA graph" in engine.notes[0]
    assert (
        engine.run(FRAMES[:1]).mask.shape == (1, HEIGHT, WIDTH)
        and cuda.calls["cudaGraphLaunch"] == 0
    )
    engine.close()
    assert cuda.balanced


def test_a_closed_engine_and_frames_of_another_size_are_our_own_mistakes() -> None:
    engine = load(JETSON, FakeCuda(), int8_trt())
    with pytest.raises(AssertionError, match="graph's size"):
        engine.run(FRAMES[:1, :1, :1])
    engine.close()
    with pytest.raises(AssertionError, match="closed"):
        engine.run(FRAMES[:1])


def test_close_twice_is_once(tmp_path: Path) -> None:
    cuda = FakeCuda()
    engine = load(JETSON, cuda, int8_trt())
    engine.close()
    engine.close()
    assert cuda.balanced
