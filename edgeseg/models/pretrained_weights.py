"""Weights files of timm's encoders: read without unpickling, and put where the encoder has those
tensors.
"""

from __future__ import annotations

import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from edgeseg.errors import TrainError
from edgeseg.models.vit import State, VitEncoder


def load_encoder(encoder: nn.Module, path: Path, name: str) -> None:
    """Load a safetensors file with timm's names, or with Meta's for DINOv2, into the encoder
    `name`.

    Raises:
        TrainError: it is missing, no safetensors file, or does not fit.
    """
    module = encoder.model
    assert isinstance(module, nn.Module)
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise TrainError(
            f"the weights file {path} does not exist; correct `weights`, or set it to none"
        ) from None
    except (OSError, SafetensorError) as error:
        raise TrainError(
            f"{path} is no safetensors file ({first_line(error)}); convert the weights with timm first"
        ) from None
    try:
        if isinstance(encoder, VitEncoder):
            state = encoder.translate(state)
        missing = module.load_state_dict(_flattened(state, module), strict=False).missing_keys
    except (RuntimeError, ValueError, KeyError, AttributeError) as error:
        raise TrainError(
            f"{path} does not fit {name} ({first_line(error)}); name the encoder it was made for"
        ) from None
    if missing:
        raise TrainError(
            f"{path} lacks {len(missing)} tensors of {name}, such as {missing[0]}; name the encoder it was made for"
        )


def _flattened(state: State, module: nn.Module) -> State:
    """`stages.0.conv` as `stages_0.conv` where the module has it so: timm takes some networks apart
    for their maps.
    """
    wanted = module.state_dict().keys()

    def name(given: str) -> str:
        for candidate in (
            given,
            re.sub(r"^([A-Za-z]\w*)\.(\w+)\.", r"\1_\2.", given),
            f"model.{given}",
        ):
            if candidate in wanted:
                return candidate
        return given

    return {name(given): tensor for given, tensor in state.items()}


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
