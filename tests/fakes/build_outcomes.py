"""What becomes of graphs that our own builder is given, with a real module or a stand-in.

    python -m tests.fakes.build_outcomes tensorrt_rtx OUTCOMES.json GRAPHS

GRAPHS is a folder of files named by flavour, a dot, and anything: `int8-trt.refused.onnx`. Each is
built for compute capability 8.6, and `*.current.onnx` for the GPU at hand.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

from edgeseg.bundle.graph_signature import GraphSignature
from edgeseg.config import EngineConfig
from edgeseg.errors import EngineError
from edgeseg.runtime.backends.tensorrt.building.build_recipe import BuildRecipe
from edgeseg.runtime.backends.tensorrt.building.engine_builder import build_engine
from edgeseg.runtime.backends.tensorrt.building.messages import TensorRTMessages
from tests.helpers.bundles import manifest

COMPUTE = "8.6"


def outcomes(trt: Any, folder: Path) -> dict[str, str]:  # Any: the modules bring no types
    """For each graph the sentence of our error, or that it was built."""
    return {graph.stem: _outcome(trt, graph) for graph in sorted(folder.glob("*.onnx"))}


def _outcome(trt: Any, graph: Path) -> str:  # Any: as above
    flavour: Any = graph.name.partition(".")[0]  # Any: a Flavour, by its name
    compute = None if graph.stem.endswith(".current") else COMPUTE
    messages = TensorRTMessages(lambda text: None)
    recipe = BuildRecipe.of(trt, flavour, EngineConfig(), compute)
    signature = GraphSignature.of(manifest())
    try:
        built = build_engine(
            trt, graph.read_bytes(), recipe, signature, messages, messages.logger(trt)
        )
    except EngineError as error:
        return str(error)
    return "built" if built.plan and not built.timing else "built, with timings"


if __name__ == "__main__":
    warnings.simplefilter("error")  # what NVIDIA deprecates we do not use
    module = importlib.import_module(sys.argv[1])
    answer = {"version": module.__version__, "outcomes": outcomes(module, Path(sys.argv[3]))}
    Path(sys.argv[2]).write_text(json.dumps(answer, indent=1))
