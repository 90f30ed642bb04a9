"""One network type for site and edge models: encoder, decoder, classifier, and a representation head for who asks."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import segmentation_models_pytorch as smp
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edgeseg.errors import TrainError

MEAN = (0.485, 0.456, 0.406)  # of ImageNet, RGB in 0..1: what timm's encoders were trained with
STD = (0.229, 0.224, 0.225)


class Output(NamedTuple):
    """What a forward pass gives.

    Attributes:
        logits: (B, C, h, w) at the decoder's stride, not upsampled.
        features: what `Network.encode` gives.
        rep: (B, D, h', w') representation, or None without that head.
    """

    logits: Tensor
    features: list[Tensor]
    rep: Tensor | None


class Network(nn.Module):
    """Encoder, decoder and heads; `forward` takes (B, 3, H, W) RGB normalised with MEAN and STD."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module, classifier: nn.Conv2d, rep_dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.classifier = classifier
        self.rep_head = representation_head(classifier.in_channels, rep_dim) if rep_dim else None

    def encode(self, image: Tensor) -> list[Tensor]:
        """The encoder's maps (B, D, h, w), from fine to coarse, and all that `decode` needs.

        With the encoders of segmentation-models-pytorch the first is the image itself, and one without channels stands
        for a stride that the encoder does not have.
        """
        features: list[Tensor] = self.encoder(image)
        return features

    def decode(self, features: list[Tensor]) -> Tensor:
        """(B, C, h, w) logits of features that `encode` gave, as they are or perturbed."""
        logits: Tensor = self.classifier(self.decoder(features))
        return logits

    def forward(self, image: Tensor) -> Output:
        features = self.encode(image)
        decoded = self.decoder(features)
        rep = None if self.rep_head is None else self.rep_head(decoded)
        return Output(self.classifier(decoded), features, rep)


def representation_head(channels: int, rep_dim: int) -> nn.Module:
    """U2PL's head (two 3x3 convolutions and a 1x1), at half the decoder's resolution and so a quarter of its cost."""

    def block(inside: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inside, rep_dim, 3, stride=stride, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(rep_dim), nn.ReLU(inplace=True), nn.Dropout2d(0.1)]

    return nn.Sequential(*block(channels, 2), *block(rep_dim, 1), nn.Conv2d(rep_dim, rep_dim, 1))


def build(arch: str, encoder: str, classes: int, weights: str = "none", rep_dim: int = 0) -> Network:
    """Make a network.

    Args:
        arch: a name of segmentation-models-pytorch, such as deeplabv3plus, unet, fpn.
        encoder: a name of timm, such as resnet50 or mobilenetv2_100.
        weights: "imagenet" (downloaded by timm), "none", or a safetensors file with timm's names.
        rep_dim: width of the representation head; 0 leaves it out.

    Raises:
        TrainError: an unknown name, or weights that cannot be had or do not fit.
    """
    try:
        model = smp.create_model(
            arch, f"tu-{encoder}", encoder_weights="imagenet" if weights == "imagenet" else None, classes=classes
        )
    except (KeyError, RuntimeError, ValueError, OSError) as error:
        if weights == "imagenet" and isinstance(error, (RuntimeError, OSError)) and "nknown model" not in str(error):
            raise TrainError(
                f"the ImageNet weights of {encoder} could not be downloaded ({_first_line(error)}); "
                "set weights to a .safetensors file or to none"
            ) from None
        raise TrainError(
            f"there is no network {arch} with encoder {encoder} ({_first_line(error)}); take names of "
            "segmentation-models-pytorch and timm, such as deeplabv3plus and resnet50"
        ) from None
    if weights not in ("imagenet", "none"):
        _load_encoder(model.encoder.model, Path(weights), encoder)
    return Network(model.encoder, model.decoder, model.segmentation_head[0], rep_dim)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _load_encoder(module: nn.Module, path: Path, encoder: str) -> None:
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise TrainError(f"the weights file {path} does not exist; correct `weights`, or set it to none") from None
    except (OSError, SafetensorError) as error:
        raise TrainError(
            f"{path} is no safetensors file ({_first_line(error)}); convert the weights with timm first"
        ) from None
    try:
        missing = module.load_state_dict(state, strict=False).missing_keys
    except RuntimeError as error:
        raise TrainError(
            f"{path} does not fit {encoder} ({_first_line(error)}); name the encoder it was made for"
        ) from None
    if missing:
        raise TrainError(
            f"{path} lacks {len(missing)} tensors of {encoder}, such as {missing[0]}; name the encoder it was made for"
        )
