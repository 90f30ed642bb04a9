"""torch to ONNX: the bare network, traced quietly and the same every time."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from torch import Tensor, nn

from edgeseg.errors import ExportError

# the lowest that torch's exporter writes; asked for 17 it writes 18 all the same
EXPORTER_OPSET = 18
NOISY = ("torch.onnx", "torch.export", "torch._dynamo", "onnxscript", "onnx_ir")
COLOR = re.compile(r"\x1b\[[0-9;]*m")  # of a terminal


class _Logits(nn.Module):
    """The network without what the graph does not need."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        output: Tensor = self.network(image).logits
        return output


def export_network(network: nn.Module, height: int, width: int, batch: int = 1) -> onnx.ModelProto:
    """Trace `network` on the CPU for one input size and return it in ONNX.

    Args:
        network: Its forward takes (B, 3, H, W) float32, normalized, and returns something with
            `.logits` (B, C, h, w).

    Returns:
        A model at opset 18 that takes `normalised` and gives `logits`; batch norms and constants
        are folded.

    Raises:
        ExportError: torch cannot express the network in ONNX.
    """
    module = _Logits(network).eval()
    example = torch.zeros(batch, 3, height, width)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                opset_version=EXPORTER_OPSET,
                optimize=True,
                external_data=False,
                verbose=False,
                input_names=["normalised"],
                output_names=["logits"],
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        reason = error.__cause__ or error  # the exporter's own words tell steps, not what is wrong
        text = COLOR.sub("", str(reason)).strip()
        what = (text.splitlines() or [type(reason).__name__])[0][:200]
        raise ExportError(
            f"torch cannot write this network as ONNX at {width}x{height} ({what}); "
            "choose another arch or encoder"
        ) from None
    assert program is not None
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back the exporter's remarks: what goes wrong is raised, the rest no user can act on."""
    loggers = [logging.getLogger(name) for name in NOISY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
