"""Where an edge model begins: with what of the site model it can take over.

The site model's encoder has seen the site for thousands of steps, and an encoder of the same name
or a narrower one of the family goes on from it. Networks of the same names and dilation begin as
the whole site model.
"""

from __future__ import annotations

import re

from torch import nn

from edgeseg.errors import TrainError
from edgeseg.models import Network
from edgeseg.models.model_files import LoadedModel
from edgeseg.models.pretrained.weights_file import first_line, load_encoder_state

_WIDTHS = re.compile(r"(mobilenetv2)_(\d{3})")  # families that timm has in several widths


def can_take_over(encoder: str, source: str) -> bool:
    """Whether an encoder can begin with the weights of another: the same, or a narrower one."""
    if encoder == source:
        return True
    own, other = _WIDTHS.fullmatch(encoder), _WIDTHS.fullmatch(source)
    return bool(own and other and own[1] == other[1] and own[2] < other[2])


def take_over(network: Network, arch: str, encoder: str, site_model: LoadedModel) -> None:
    """Give a network the weights of a site model, as far as the two are built alike.

    Args:
        network: The edge model's, of random weights.
        arch, encoder: Its names; `can_take_over` holds for the encoder.
        site_model: Has the same classes.

    Raises:
        TrainError: The encoders do not fit after all.
    """
    source, card = site_model.module, site_model.card
    if encoder == card.encoder:
        # A decoder has learned at its dilation, which goes with the size of the input.
        is_same = arch == card.arch and network.atrous_rates == source.atrous_rates
        parts = ("encoder", "decoder", "classifier") if is_same else ("encoder",)
        for part in parts:
            _copy(getattr(source, part), getattr(network, part), encoder)
    else:
        state = source.encoder.get_submodule("model").state_dict()
        load_encoder_state(network.encoder, state, encoder, f"the site model's {card.encoder}")
    network.normalization = card.normalization
    began = f", which began with {card.weights_origin}" if card.weights_origin else ""
    narrowed = "" if encoder == card.encoder else f", narrowed to {encoder}"
    network.weights_origin = f"the site model's {card.encoder}{narrowed}{began}"


def _copy(source: nn.Module, target: nn.Module, encoder: str) -> None:
    try:
        target.load_state_dict(source.state_dict())
    except RuntimeError as error:
        raise TrainError(
            f"the site model's {encoder} does not fit that of the edge model "
            f"({first_line(error)}); set distill.weights to imagenet or none"
        ) from None
