"""Pretrained weights of encoders, read from a file without unpickling.

Weights of whole trained networks are read by `edgeseg.models.model_files`.
"""

from __future__ import annotations

import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from edgeseg.disk.library_paths import library_path
from edgeseg.errors import TrainError
from edgeseg.models.vit import StateDict, ViTEncoder


def load_encoder_weights(encoder: nn.Module, path: Path, name: str) -> None:
    """Load a safetensors file with timm's names, or with Meta's for DINOv2, into an encoder.

    Args:
        encoder: The encoder; `encoder.model` is timm's.
        path: The file.
        name: Name of the encoder, for messages.

    Raises:
        TrainError: it is missing, no safetensors file, or does not fit.
    """
    try:
        with library_path(path) as file_name:
            state = load_file(file_name)
    except FileNotFoundError:
        raise TrainError(
            f"the weights file {path} does not exist; correct `weights`, or set it to none"
        ) from None
    except (OSError, SafetensorError) as error:
        raise TrainError(
            f"{path} is no safetensors file ({first_line(error)}); "
            "convert the weights with timm first"
        ) from None
    load_encoder_state(encoder, state, name, path)


def load_encoder_state(encoder: nn.Module, state: StateDict, name: str, origin: object) -> None:
    """Load tensors with timm's names, or with Meta's for DINOv2, into an encoder.

    Args:
        encoder: The encoder; `encoder.model` is timm's.
        state: The tensors. What the encoder does not have, such as a classifier, is left out.
        name: Name of the encoder, for messages.
        origin: Where the tensors are from, for messages.

    Raises:
        TrainError: they do not fit, or some are missing.
    """
    model = encoder.model
    assert isinstance(model, nn.Module)
    try:
        if isinstance(encoder, ViTEncoder):
            state = encoder.to_timm_names(state)
        missing = model.load_state_dict(_as_in_model(state, model), strict=False).missing_keys
    except (RuntimeError, ValueError, KeyError, AttributeError) as error:
        raise TrainError(
            f"{origin} does not fit {name} ({first_line(error)}); name the encoder it was made for"
        ) from None
    if missing:
        raise TrainError(
            f"{origin} lacks {len(missing)} tensors of {name}, such as {missing[0]}; "
            "name the encoder it was made for"
        )


def _as_in_model(state: StateDict, model: nn.Module) -> StateDict:
    """The tensors under the names that the model has for them.

    timm takes some networks apart for their maps and then names `stages.0.conv` as `stages_0.conv`,
    or puts the whole network below `model.`; `conv.weight` becomes `model.conv.weight`.
    """
    names = model.state_dict().keys()

    def name_in_model(given: str) -> str:
        flattened = re.sub(r"^([A-Za-z]\w*)\.(\w+)\.", r"\1_\2.", given)
        candidates = (given, flattened, f"model.{given}")
        return next((name for name in candidates if name in names), given)

    return {name_in_model(given): tensor for given, tensor in state.items()}


def first_line(error: BaseException) -> str:
    """The first line of an error's message, 200 characters at most, or the name of its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
