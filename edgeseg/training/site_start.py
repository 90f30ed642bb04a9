"""Where an edge model begins: with what of the site model it can take over.

The site model's encoder has seen the site for thousands of steps, and an encoder of the same name
or a narrower one of the family goes on from it. Networks of the same names begin as the whole site
model.
"""

from __future__ import annotations

import re

from edgeseg.models import Network
from edgeseg.models.model_files import LoadedModel
from edgeseg.models.pretrained.weights_file import load_encoder_state

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
    load_encoder_state(
        network.encoder, source.encoder.model.state_dict(), encoder, "the site model"
    )
    network.normalization = card.normalization
    if (arch, encoder) == (card.arch, card.encoder):
        network.decoder.load_state_dict(source.decoder.state_dict())
        network.classifier.load_state_dict(source.classifier.state_dict())
    began = f", which began with {card.weights_origin}" if card.weights_origin else ""
    network.weights_origin = f"the site model's {card.encoder}{began}"
