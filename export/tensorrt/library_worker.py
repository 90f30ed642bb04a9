"""The child process that asks a library of NVIDIA to read and build files; a crash harms nothing.

It is started as `python -m edgeseg.export.tensorrt.library_worker FOLDER` by `library_check`. Job
and graphs lie in FOLDER; what comes out is appended line by line to `answers.jsonl`, so that what
was found out outlives the process. No engine is loaded or run.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias

from edgeseg.bundle.flavours import FLAVOURS, Flavour
from edgeseg.config import EngineConfig
from edgeseg.errors import EngineError
from edgeseg.export.evaluation.library_verdicts import BuildVerdict
from edgeseg.json_text import to_json
from edgeseg.runtime.backends.tensorrt.building.build_recipe import BuildRecipe
from edgeseg.runtime.backends.tensorrt.building.child_process import LOG, yield_to_others
from edgeseg.runtime.backends.tensorrt.building.engine_builder import (
    build_network,
    create_network,
    parse_graph,
    start_builder,
)
from edgeseg.runtime.backends.tensorrt.building.messages import TensorRTMessages
from edgeseg.runtime.backends.tensorrt.libraries import LIBRARIES, import_library
from edgeseg.runtime.backends.tensorrt.version_differences import (
    ParserFault,
    TensorRTModule,
    compute_capabilities,
)

JOB, ANSWERS = "job.json", "answers.jsonl"
USUAL_TARGET = "8.6"  # of a single build: many RTX boards in industrial boxes
MAX_WARNINGS = 10  # of a file
# What a machine without a driver adds to an error, and warns of: it says nothing about the file.
NO_DRIVER = re.compile(
    r"\s*\[[\w.]+::catchCudaError::\d+\] Error Code \d+: Cuda Runtime \(.*?cudaError \d+: [^()]*\)+"
)
ABOUT_THE_MACHINE = re.compile(r"cudaError|CUDA (driver|initialization)|lazy loading", re.I)
SOURCE_LINE = re.compile(r"^\w+\.cpp:\d+: ")  # of NVIDIA's code, in front of a message
Answer: TypeAlias = dict[str, Any]  # Any: JSON


class LibraryQuestions:
    """The questions to one loaded library, put one after the other."""

    def __init__(
        self,
        trt: TensorRTModule,
        config: EngineConfig,
        log: Callable[[str], None],
        tell: Callable[[Answer], None],
    ) -> None:
        """Start a builder.

        Args:
            log: Gets every message of the library.
            tell: Gets what begins, and what came of it.

        Raises:
            EngineError: It cannot start on this machine.
        """
        self._trt, self._config, self._tell = trt, config, tell
        self._messages = TensorRTMessages(log)
        self._logger = self._messages.logger(trt)
        self._builder = start_builder(trt, self._messages, self._logger)

    def targets(self, *, every: bool) -> list[str | None]:
        """Return what to build for: compute capabilities, or None for the GPU at hand.

        Args:
            every: All that there are; else one, or none where a build times kernels for minutes.
        """
        offered = compute_capabilities(self._trt)
        if every:
            return list(offered) or [None]
        return [USUAL_TARGET] if USUAL_TARGET in offered else list(offered[:1])

    def ask(self, flavour: Flavour, data: bytes, targets: list[str | None]) -> None:
        """Have a file read, and built for each target."""

        def tell(**answer: Any) -> None:  # Any: JSON
            self._tell({"file": flavour, **answer})

        recipe = BuildRecipe.of(self._trt, flavour, self._config)
        self._messages.forget()
        tell(begins="reading it")
        network = create_network(self._trt, self._builder, recipe)
        parser = self._trt.OnnxParser(network, self._logger)  # it owns the weights
        faults = parse_graph(parser, data)
        warnings = self._messages.warnings
        if faults is None:
            tell(layers=int(network.num_layers))
        else:
            tell(errors=[asdict(without_driver(fault)) for fault in faults])
            targets = []
        for target in targets:
            self._messages.forget()
            tell(
                begins=f"building it for {f'compute capability {target}' if target else 'this GPU'}"
            )
            tell(build=asdict(self._build(network, replace(recipe, compute=target))))
            warnings = [*warnings, *self._messages.warnings]
        tell(warnings=worth_showing(warnings))

    def _build(self, network: Any, recipe: BuildRecipe) -> BuildVerdict:  # Any: as `build_network`
        began = time.perf_counter()
        try:
            built = build_network(self._trt, self._builder, network, recipe)
            reason = self._messages.reason()
        except EngineError as error:
            built, reason = None, str(error)
        seconds = round(time.perf_counter() - began, 2)
        if built is None:
            words = NO_DRIVER.sub("", reason) or reason
            return BuildVerdict(recipe.compute, seconds, None, words)
        return BuildVerdict(recipe.compute, seconds, len(built.plan))


def without_driver(fault: ParserFault) -> ParserFault:
    """Return a fault without what it says of a driver that is not there, unless that is all."""
    return replace(fault, reason=NO_DRIVER.sub("", fault.reason) or fault.reason)


def worth_showing(warnings: list[str]) -> list[str]:
    """Return the warnings that say something of the file, each once, and not too many of them."""
    texts = dict.fromkeys(SOURCE_LINE.sub("", text) for text in warnings)
    found = [text for text in texts if not ABOUT_THE_MACHINE.search(text)]
    more = len(found) - MAX_WARNINGS
    return [*found[:MAX_WARNINGS], *([f"and {more} more"] if more > 0 else [])]


def main(folder: Path) -> None:
    """Do the job in `folder`."""
    yield_to_others()
    job = json.loads((folder / JOB).read_bytes())
    with (
        open(folder / ANSWERS, "a", buffering=1) as answers,
        open(folder / LOG, "a", buffering=1, errors="replace") as log,
    ):

        def tell(answer: Answer) -> None:
            print(to_json(answer), file=answers)

        try:
            trt = import_library(LIBRARIES[job["library"]])
            config = EngineConfig(**job["engine"])
            questions = LibraryQuestions(trt, config, lambda text: print(text, file=log), tell)
        except (ImportError, OSError, EngineError) as error:
            tell({"cannot_start": str(error)})
            return
        targets = questions.targets(every=job["every"])
        tell({"version": str(trt.__version__), "targets": targets})
        for flavour in job["files"]:
            questions.ask(flavour, (folder / FLAVOURS[flavour].file).read_bytes(), targets)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
