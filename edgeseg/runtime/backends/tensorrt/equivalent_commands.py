"""The same build by hand: lines for NVIDIA's own tools, by TensorRT version.

They help to look into an engine. `trtexec` comes with JetPack's TensorRT packages and usually is
not on the PATH; `polygraphy` is a pip package.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from edgeseg.bundle.bundle import Bundle
from edgeseg.bundle.flavours import FLAVOURS, Flavour, Precision
from edgeseg.config import EngineConfig

FAMILIES = ("8.6", "10", "11")
TRTEXEC_FLAGS: dict[Precision, tuple[str, ...]] = {
    "fp32": (),
    "fp16": ("--fp16",),
    "int8": ("--int8", "--fp16"),
}


@dataclass(frozen=True)
class ShellCommand:
    """One line of a shell.

    Attributes:
        purpose: What it is for.
        line: What to type.
    """

    purpose: str
    line: str


def equivalent_commands(
    bundle: Bundle, flavour: Flavour, config: EngineConfig, family: str
) -> list[ShellCommand]:
    """Return the lines that build, time, look inside and compare one file.

    Args:
        family: One of `FAMILIES`.
    """
    spec = FLAVOURS[flavour]
    onnx, plan = str(bundle.path / spec.file), f"{Path(spec.file).stem}.plan"
    # from 11 on the graph decides about types, the flags are gone, and the loops are as wanted
    weak = family != "11"
    precision = TRTEXEC_FLAGS[spec.precision] if weak else ()
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
    loops = ("--useCudaGraph", "--useSpinWait", "--noDataTransfers") if weak else ()
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
