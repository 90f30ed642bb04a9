"""The network and the builder of a stand-in for TensorRT."""

from __future__ import annotations

import json
import os
import time

import onnx

from tests.fakes.objects.builder_config import Config, HostMemory
from tests.fakes.objects.logger import ILogger, Severity, log_error, log_message
from tests.fakes.objects.strict import Strict

MARK = b"FAKEPLAN"


class Tensor(Strict):
    _kind = "ITensor"

    def __init__(self, value: onnx.ValueInfoProto) -> None:
        tensor = value.type.tensor_type
        names = {1: "FLOAT", 2: "UINT8", 7: "INT64"}  # by ONNX's numbers
        self._have(
            name=value.name,
            shape=tuple(side.dim_value or -1 for side in tensor.shape.dim),
            dtype=self._trt._enum("DataType", names[tensor.elem_type]),
        )


class Network(Strict):
    _kind = "INetworkDefinition"

    def __init__(self, logger: ILogger) -> None:
        self._data, self._logger, self._layers = b"", logger, 0
        self._read_by: list[str] = []
        self._inputs: list[Tensor] = []
        self._outputs: list[Tensor] = []

    @property
    def num_layers(self) -> int:
        return self._layers

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    def get_input(self, index: int) -> Tensor | None:
        return self._at(self._inputs, index)

    def get_output(self, index: int) -> Tensor | None:
        return self._at(self._outputs, index)

    def _at(self, tensors: list[Tensor], index: int) -> Tensor | None:
        if 0 <= index < len(tensors):
            return tensors[index]
        log_error(self._logger, f"Invalid network output index: {index}")
        return None


class Builder(Strict):
    _kind = "Builder"

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger
        faults = self._trt.faults & {"builder", "builder-silent"}
        if faults or not (self._trt.has_driver or self._trt.is_rtx):
            if faults != {"builder-silent"}:
                log_message(
                    logger, Severity.INTERNAL_ERROR, "CUDA initialization failure with error: 35"
                )
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self._trt._register(self, logger)

    @property
    def num_DLA_cores(self) -> int:
        return int(self._trt.dla_cores)

    def create_network(self, flags: int = 0) -> Network | None:
        known = vars(self._trt)["NetworkDefinitionCreationFlag"].__members__
        if int(flags) >= 1 << len(known):
            log_error(
                self._logger,
                "API Usage Error (condition: flags < 1 << EnumMax<NetworkDefinitionCreationFlag>)",
            )
            return None
        if self._trt.api.version.startswith("8."):  # else implicit batch, which ONNX cannot have
            assert int(flags) & 1 << int(known["EXPLICIT_BATCH"])
        return self._make(Network, self._logger)

    def create_builder_config(self) -> Config:
        return self._make(Config, self._logger)

    def build_serialized_network(
        self, network: Network, config: Config, kernel_text: object = None
    ) -> HostMemory | None:
        faults = self._trt.faults
        log_message(self._logger, Severity.VERBOSE, "a thousand lines that nobody reads")
        log_message(self._logger, Severity.INFO, "Timing Runner: Conv_0 (CaskConvolution)")
        if "abort" in faults:
            os.abort()
        if "exit" in faults:
            os._exit(7)
        if "hang" in faults:
            time.sleep(600)
        if "build" in faults:
            log_message(self._logger, Severity.WARNING, "weights were clipped")
        reason = self._refusal(network, config)
        if reason is not None:
            if reason:
                log_error(self._logger, reason)
            return None
        facts = {
            "version": self._trt.__version__,
            "flags": config._set,
            "detailed": config._value("profiling_verbosity").name == "DETAILED",
            "targets": [target.name for target in config._targets],
        }
        return self._make(HostMemory, MARK + json.dumps(facts).encode() + b"\n" + network._data)

    def _refusal(self, network: Network, config: Config) -> str | None:
        """Why nothing can be built: empty where the logger is told nothing, None if it can."""
        faults, targets = self._trt.faults, [target.name for target in config._targets]
        if "build" in faults:
            return "[optimizer.cpp] Could not find any implementation for node Conv_0"
        if "build-silent" in faults:
            return ""
        if not network._outputs:
            return "API Usage Error (Network must have at least one output.)"
        if any(-1 in tensor._value("shape") for tensor in network._inputs):
            return (
                "API Usage Error (Network has dynamic or shape inputs, but no optimization profile "
                "has been defined.)"
            )
        if self._trt.is_rtx and not {"FP16", "INT8"}.isdisjoint(config._set):
            return "API Usage Error (condition: !config.getFlag)"  # 1.4 has them all the same
        if "NONE" in targets:
            return "Unexpected exception bad optional access"
        if "CURRENT" in targets and not self._trt.has_driver:
            return f"IBuilder::buildSerializedNetwork: {self._trt.driver_error}"
        graph = onnx.load_model_from_string(network._data).graph
        quantized = any(node.op_type == "QuantizeLinear" for node in graph.node)
        weak = "INT8" in vars(self._trt)["BuilderFlag"].__members__ and not self._trt.is_rtx
        if quantized and weak and "INT8" not in config._set:
            return "Q/DQ layers need the INT8 flag"
        if quantized and self._trt.is_rtx and self._trt.api.index == 0 and not self._trt.has_driver:
            return str(self._trt.driver_error)  # 1.4 alone builds INT8 where there is a GPU
        return None
