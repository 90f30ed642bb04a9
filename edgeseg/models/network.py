"""One network type for site and edge models: encoder, decoder, classifier and other heads.

Names of attributes stand in weights files.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from typing import NamedTuple, cast

import torch
from timm.utils.model import reparameterize_model
from torch import Tensor, nn

from edgeseg.errors import TrainError
from edgeseg.models.atrous_rates import AtrousRates
from edgeseg.models.pretrained.normalization import IMAGENET, Normalization


class Output(NamedTuple):
    """The result of a forward pass.

    Attributes:
        logits: (B, C, h, w) at the decoder's stride, not upsampled.
        features: The encoder's maps as `Network.encode` gives them.
        rep: (B, D, h', w') representation, or None without that head.
    """

    logits: Tensor
    features: list[Tensor]
    rep: Tensor | None


class Network(nn.Module):
    """Encoder, decoder and heads; `forward` takes (B, 3, H, W) RGB, normalized.

    Attributes:
        frozen: Whether the encoder stays as it is; see `freeze_encoder`.
        atrous_rates: Dilation of DeepLab's context branches; None for other decoders.
        normalization: What RGB in 0..1 is normalized with before `forward`.
        weights_origin: What the encoder started from, in words; empty if that is not known.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, classifier: nn.Conv2d, rep_dim: int
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.classifier = classifier
        self.rep_head = representation_head(classifier.in_channels, rep_dim) if rep_dim else None
        self.frozen = False
        self.atrous_rates: AtrousRates | None = None
        self.normalization: Normalization = IMAGENET
        self.weights_origin = ""

    def freeze_encoder(self) -> None:
        """Leave the encoder as it is.

        It gets no gradients, keeps no activations for them, and the statistics of its batch norms
        are fixed.
        """
        self.frozen = True
        self.encoder.requires_grad_(False).eval()

    def save_memory(self, *, freeze_encoder: bool, checkpointing: bool) -> None:
        """Freeze the encoder, or checkpoint its activations, as a configuration asks."""
        if freeze_encoder:
            self.freeze_encoder()
        if checkpointing:
            self.checkpoint_activations()

    def checkpoint_activations(self) -> None:
        """Turn on gradient checkpointing in the encoder.

        It keeps less of its activations and computes them anew in the backward pass.

        Loss and gradients are the same. Batch norms of the encoder see each batch twice, so their
        running statistics follow the last batches faster; what ships are the teacher's.

        Raises:
            TrainError: the encoder cannot do that.
        """
        try:
            self.encoder.model.set_grad_checkpointing(True)  # type: ignore[operator, union-attr]
        except (AssertionError, AttributeError, TypeError):
            raise TrainError(
                "checkpointing is on but timm has none for this encoder; turn it off, "
                "or take another encoder such as resnet50"
            ) from None

    def reparameterized(self) -> Network:
        """Return a copy for inference whose parallel branches are merged, as in MobileOne.

        Branches that were trained side by side become one convolution (structural re-
        parameterization).
        """
        copied = copy.deepcopy(self)
        model = copied.encoder.model
        copied.encoder.model = reparameterize_model(model, inplace=True)  # type: ignore[arg-type]
        return copied

    def trained_modules(self) -> Iterator[nn.Module]:
        """All modules but those of a frozen encoder."""
        frozen = set(self.encoder.modules()) if self.frozen else set()
        return (module for module in self.modules() if module not in frozen)

    def train(self, mode: bool = True) -> Network:
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def encode(self, image: Tensor) -> list[Tensor]:
        """The encoder's maps (B, D, h, w), from fine to coarse, and all that `decode` needs.

        With the encoders of segmentation-models-pytorch the first is the image itself, and one
        without channels stands for a stride that the encoder does not have.
        """
        with torch.no_grad() if self.frozen else nullcontext():
            features: list[Tensor] = self.encoder(image)
        return features

    def decode(self, features: list[Tensor]) -> Tensor:
        """(B, C, h, w) logits of features that `encode` gave, as they are or perturbed."""
        logits: Tensor = self.classifier(self.decoder(features))
        return logits

    @property
    def encoder_channels(self) -> tuple[int, ...]:
        """Channels D of each of the encoder's maps, for heads that read them."""
        return tuple(cast(Sequence[int], self.encoder.out_channels))

    def forward_head(self, features: list[Tensor]) -> Output:
        """Finish a forward pass from features that `encode` gave, as they are or perturbed."""
        decoded = self.decoder(features)
        rep = None if self.rep_head is None else self.rep_head(decoded)
        return Output(self.classifier(decoded), features, rep)

    def forward(self, image: Tensor) -> Output:
        return self.forward_head(self.encode(image))


def representation_head(channels: int, rep_dim: int) -> nn.Module:
    """The representation head of U2PL: two 3x3 convolutions and a 1x1.

    It works at half the decoder's resolution and so at a quarter of its cost.
    """

    def block(in_channels: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(in_channels, rep_dim, 3, stride=stride, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(rep_dim), nn.ReLU(inplace=True), nn.Dropout2d(0.1)]

    return nn.Sequential(*block(channels, 2), *block(rep_dim, 1), nn.Conv2d(rep_dim, rep_dim, 1))
