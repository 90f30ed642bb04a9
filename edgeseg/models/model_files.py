"""Trained models on disk: safetensors for the weights, and a card in JSON.

The card says how to build the network and what to feed it.

What a killed training goes on from is in `edgeseg.training.training_checkpoint`; pretrained weights
of encoders are read by `edgeseg.models.pretrained.weights_file`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from edgeseg.atomic_files import write_atomic
from edgeseg.config import ClassSpec, FitMode, Section
from edgeseg.disk.library_paths import library_path
from edgeseg.errors import TrainError
from edgeseg.models.atrous_rates import OLD_RATES, AtrousRates
from edgeseg.models.factory import build_network
from edgeseg.models.network import Network
from edgeseg.models.pretrained.normalization import MEAN, STD, Color, Normalization

WeightsName = Literal["best", "last"]


class ModelCard(Section):
    """The content of `model.json`: how to build the network and what to feed it.

    Attributes:
        arch, encoder, rep_dim: As `edgeseg.models.build_network` takes them.
        classes: Names and colors, by class id.
        height, width: Size that the network was trained and is evaluated at.
        fit: How frames of another shape come to that size.
        mean, std: Normalization of RGB in 0..1; ImageNet's in older cards.
        atrous_rates: Dilation of DeepLab's context branches; see `built_rates`.
        weights_origin: What the encoder started from and on what terms; empty in older cards.
    """

    arch: str
    encoder: str
    rep_dim: int = Field(0, ge=0)
    classes: tuple[ClassSpec, ...] = Field(min_length=2)
    height: int = Field(ge=32)
    width: int = Field(ge=32)
    fit: FitMode = "stretch"
    mean: Color = MEAN
    std: Color = STD
    atrous_rates: AtrousRates | None = None
    weights_origin: str = ""

    @property
    def built_rates(self) -> AtrousRates:
        """The dilation to build with: older cards name none, and other decoders pass it over."""
        return self.atrous_rates or OLD_RATES

    @property
    def normalization(self) -> Normalization:
        """The normalization that the network was trained with."""
        return Normalization(self.mean, self.std)


@dataclass(frozen=True)
class LoadedModel:
    """A network in eval mode on the CPU, with its card."""

    module: Network
    card: ModelCard


def save_card(run: Path, card: ModelCard) -> None:
    """Write `model.json`."""
    write_atomic(run / "model.json", card.model_dump_json(indent=2).encode())


def save_weights(run: Path, name: str, module: nn.Module) -> None:
    """Write `weights/<name>.safetensors` atomically, in plain memory order."""
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    write_atomic(run / "weights" / f"{name}.safetensors", save(state))


def read_card(run: Path) -> ModelCard:
    """Read `model.json`.

    Raises:
        TrainError: `run` is no run, or its card is damaged.
    """
    try:
        return ModelCard.model_validate(json.loads((run / "model.json").read_bytes()))
    except (FileNotFoundError, NotADirectoryError):
        raise TrainError(
            f"{run} is no run, it has no model.json; name a folder such as runs/train/exp1"
        ) from None
    except (OSError, ValueError, ValidationError) as error:
        raise TrainError(
            f"{run / 'model.json'} cannot be used ({str(error).splitlines()[0]}); train again"
        ) from None


def load_model(
    run: Path, which: WeightsName = "best", size: tuple[int, int] | None = None
) -> LoadedModel:
    """Build the network of a run and load its weights.

    Args:
        run: The run folder.
        which: The weights of the best step on val, or the last ones.
        size: (height, width) to build it for; the one it was trained at if left out.

    Raises:
        TrainError: the run is unfinished or damaged.
    """
    card = read_card(run)
    size = size or (card.height, card.width)
    module = build_network(
        card.arch, card.encoder, len(card.classes), "none", card.rep_dim, size, card.built_rates
    )
    module.normalization = card.normalization
    load_weights(module, run / "weights" / f"{which}.safetensors")
    return LoadedModel(module.eval(), card)


def load_weights(module: nn.Module, path: Path, *, strict: bool = True) -> None:
    """Load a weights file into `module`.

    Args:
        module: The network.
        path: The file.
        strict: Whether both must have the same tensors.

    Raises:
        TrainError: it is missing, damaged, or made for another network.
    """
    try:
        with library_path(path) as name:
            state = load_file(name)
        module.load_state_dict(state, strict=strict)
    except FileNotFoundError:
        raise TrainError(
            f"{path} does not exist, the run has not got that far; run it again with --resume"
        ) from None
    except (OSError, SafetensorError, RuntimeError) as error:
        raise TrainError(
            f"{path} cannot be loaded ({str(error).splitlines()[0][:200]}); train again"
        ) from None
