"""The same build by hand: what to type for NVIDIA's own tools, by TensorRT version, to look into an
engine.

`trtexec` comes with JetPack's TensorRT packages and usually is not on the PATH; `polygraphy` is a
pip package.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour, Precision
from edgeseg.config import EngineConfig

FAMILIES = ("8.6", "10", "11")
TRTEXEC_PRECISION: dict[Precision, tuple[str, ...]] = {
    "fp32": (),
    "fp16": ("--fp16",),
    "int8": ("--int8", "--fp16"),
}


@dataclass(frozen=True)
class ShellCommand:
    """One line of a shell, and what it is for."""

    purpose: str
    line: str


def equivalent_commands(
    bundle: Bundle, flavour: Flavour, config: EngineConfig, family: str
) -> list[ShellCommand]:
    """Build, time, look inside and compare one file.

    Args:
        family: one of `FAMILIES`.
    """
    onnx, plan = (
        str(bundle.path / FLAVOURS[flavour].file),
        f"{Path(FLAVOURS[flavour].file).stem}.plan",
    )
    weak = family != "11"
    precision = (
        TRTEXEC_PRECISION[FLAVOURS[flavour].precision] if weak else ()
    )  # in 11 the graph says it, and the flags are gone
    dla = () if config.dla is None else (f"--useDLACore={config.dla}", "--allowGPUFallback")
    build = (
        "trtexec",
        f"--onnx={onnx}",
        *precision,
        *dla,
        f"--memPoolSize=workspace:{config.workspace_mb}",
        f"--builderOptimizationLevel={config.level}",
        "--maxAuxStreams=0",
        "--profilingVerbosity=detailed",
        "--timingCacheFile=timing.cache",
        f"--saveEngine={plan}",
        "--skipInference",
    )
    loops = (
        ("--useCudaGraph", "--useSpinWait", "--noDataTransfers") if weak else ()
    )  # what 11 does anyway
    time = (
        "trtexec",
        f"--loadEngine={plan}",
        *loops,
        "--iterations=200",
        "--warmUp=500",
        "--percentile=99",
    )
    layers = (
        "trtexec",
        f"--loadEngine={plan}",
        "--dumpProfile",
        "--separateProfileRun",
        "--dumpLayerInfo",
        "--profilingVerbosity=detailed",
        f"--exportLayerInfo={Path(plan).stem}.layers.json",
    )
    shape = f"image:[1,{bundle.manifest.height},{bundle.manifest.width},3]"
    typing = precision if weak else ("--strongly-typed",)
    compare = (
        "polygraphy",
        "run",
        onnx,
        "--trt",
        "--onnxrt",
        *typing,
        "--input-shapes",
        shape,
        "--val-range",
        "image:[0,255]",
        "--pool-limit",
        f"workspace:{config.workspace_mb}M",
        "--builder-optimization-level",
        str(config.level),
        "--atol",
        "1e-2",
        "--check-error-stat",
        "mean",
    )
    parser = ("polygraphy", "inspect", "capability", "--with-partitioning", onnx)
    lines = {
        "build": build,
        "time": time,
        "layers": layers,
        "against ONNX Runtime": compare,
        "parser": parser,
    }
    return [ShellCommand(purpose, shlex.join(words)) for purpose, words in lines.items()]
