"""What a module says to the calls of `call_table`.

    python -m tests.fakes.call_verdicts tensorrt_rtx VERDICTS.json GRAPH.onnx

The real module is asked in a process of its own, since native code may crash; a stand-in is asked
where the test is.
"""

from __future__ import annotations

import ast
import importlib
import json
import sys
import warnings
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.fakes.call_table import CALLS, LEAN_CALLS, WITHOUT_DRIVER

Scope = dict[str, Any]  # Any: the modules bring no types


def ask(trt: Any, graph: bytes, calls: Iterable[str]) -> dict[str, str]:  # Any: as above
    """What a module says to each call: an exception's type, or what came back, and `, said` where
    its logger got an error.
    """
    plan = _plan(_scope(trt, graph)) if hasattr(trt, "Builder") else None
    return {call: _verdict(_scope(trt, graph) | {"plan": plan}, call) for call in calls}


def _plan(scope: Scope) -> Any:  # Any: an IHostMemory
    return scope["builder"].build_serialized_network(
        scope["parsed"], scope["target"](scope["config"])
    )


def _verdict(scope: Scope, call: str) -> str:
    statements = ast.parse(call).body
    last = statements.pop() if isinstance(statements[-1], ast.Expr) else None
    before = len(scope["said"])
    try:
        exec(compile(ast.Module(statements, []), call, "exec"), scope)
        found = None
        if isinstance(last, ast.Expr):
            found = eval(compile(ast.Expression(last.value), call, "eval"), scope)
        answer = _shown(found)
    except Exception as error:  # noqa: BLE001  # the type is the answer
        answer = type(error).__name__
    return answer + (", said" if len(scope["said"]) > before else "")


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(_shown, value))})"
    if value is None or isinstance(value, (bool, int, str)):
        return repr(value)
    if hasattr(type(value), "__members__"):
        return str(value)
    return type(value).__name__ if not callable(value) else "a method"


@cache
def _listener(trt: Any) -> tuple[Any, list[str]]:  # Any: as above
    """The logger of a module, and the errors that it got.

    One for all calls: a library keeps the first that it was given, and goes on calling it after it
    is gone.
    """
    said: list[str] = []

    class Listener(trt.ILogger):  # type: ignore[misc]  # as above
        def log(self, severity: object, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                said.append(msg)

    return Listener(), said


def _scope(trt: Any, graph: bytes) -> Scope:  # Any: as above
    logger, said = _listener(trt)

    def one(config: Any) -> Any:  # Any: an IBuilderConfig
        config.num_compute_capabilities = 1
        return config

    def target(config: Any, name: str = "SM86") -> Any:  # Any: as `one`
        if hasattr(trt, "ComputeCapability"):
            one(config).set_compute_capability(getattr(trt.ComputeCapability, name), 0)
        return config

    def fault(parser: Any, index: int) -> list[object]:  # Any: an OnnxParser
        found = parser.get_error(index)
        return [found.node(), found.node_name(), found.node_operator(), int(found.code())]

    scope = {
        "trt": trt,
        "np": np,
        "Path": Path,
        "said": said,
        "logger": logger,
        "graph": graph,
        "one": one,
        "target": target,
        "fault": fault,
    }
    if hasattr(trt, "Builder"):
        scope |= _builder_scope(trt, graph, logger)
    return scope


def _builder_scope(trt: Any, graph: bytes, logger: Any) -> Scope:  # Any: as above
    builder = trt.Builder(logger)
    config, network = builder.create_builder_config(), builder.create_network(1)
    parsed = builder.create_network(1)
    reader = trt.OnnxParser(parsed, logger)
    reader.parse(graph)
    return {
        "builder": builder,
        "runtime": trt.Runtime(logger),
        "config": config,
        "network": network,
        "parser": trt.OnnxParser(network, logger),
        "parsed": parsed,
        "reader": reader,
        "cache": config.create_timing_cache(b""),
    }


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    module = importlib.import_module(sys.argv[1])
    calls = CALLS + WITHOUT_DRIVER if hasattr(module, "Builder") else LEAN_CALLS
    verdicts = ask(module, Path(sys.argv[3]).read_bytes(), calls)
    answer = {"version": module.__version__, "verdicts": verdicts}
    Path(sys.argv[2]).write_text(json.dumps(answer, indent=1))
