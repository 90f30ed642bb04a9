"""Networks by two names: a decoder around an encoder of timm, or a network of this project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from edgeseg.errors import TrainError
from edgeseg.models.arch_names import parse_arch
from edgeseg.models.atrous_rates import STRIDES, AtrousRates, fitted_rates
from edgeseg.models.compatibility import (
    ARCHS,
    DPT,
    LIGHT_DECODERS,
    MISFIT_ERRORS,
    OWN_NETWORKS,
    check_own_network,
    check_size,
    misfit,
    try_size,
)
from edgeseg.models.dpt import DPTDecoder
from edgeseg.models.edge.ddrnet import DDRNetDecoder
from edgeseg.models.edge.lightfpn import LightFPNDecoder
from edgeseg.models.edge.lraspp import LRASPPDecoder
from edgeseg.models.edge.stdc import STDCDecoder
from edgeseg.models.network import Network
from edgeseg.models.pretrained.normalization import encoder_normalization
from edgeseg.models.pretrained.weight_packages import installed_package, load_package_weights
from edgeseg.models.pretrained.weights_file import load_encoder_weights
from edgeseg.models.pretrained.weights_hub import require_hub
from edgeseg.models.pretrained.weights_terms import weights_origin
from edgeseg.models.vit import Size, ViTEncoder, is_plain, patch_size

Decoder = DPTDecoder | LightFPNDecoder | LRASPPDecoder | STDCDecoder | DDRNetDecoder
# Parts that were run once at a size and fit; a run builds the same network several times.
_tried: set[tuple[str, str, Size, str]] = set()


def build_network(
    arch: str,
    encoder: str,
    classes: int,
    weights: str = "none",
    rep_dim: int = 0,
    size: Size | None = None,
    rates: AtrousRates | None = None,
) -> Network:
    """Build a network, whose input is normalized as timm's weights of the encoder expect it.

    Args:
        arch: A name of segmentation-models-pytorch, such as deeplabv3plus, or lightfpn or lraspp;
            dpt for vision transformers; stdc, edgenet or ddrnet. Behind deeplabv3plus and lightfpn
            may stand the channels of the decoder, as in deeplabv3plus_096.
        encoder: A name of timm, such as resnet50, mobilenetv2_100 or vit_small_patch14_dinov2; stdc
            and ddrnet have their own, such as stdc1_050.
        classes: Their number.
        weights: "imagenet" (of an installed weight package, else downloaded by timm), "none", or a
            safetensors file with timm's names.
        rep_dim: Width of the representation head; 0 leaves it out.
        size: (height, width) that it must take; transformers are built for one, timm's own if left
            out.
        rates: Dilation of DeepLab's context branches; fitted to `size` if left out.

    Raises:
        TrainError: an unknown name, parts or a size that do not fit, or weights that cannot be had.
    """
    decoder = parse_arch(arch).decoder
    check_own_network(arch, encoder, pretrained=weights == "imagenet")
    package = installed_package(encoder) if weights == "imagenet" else None
    pretrained = weights == "imagenet" and package is None
    if pretrained and decoder in ARCHS and timm.is_model(encoder):
        require_hub(encoder)
    network, first_error = None, None
    rates = rates if decoder in STRIDES and rates else fitted_rates(decoder, size)
    for options in _encoder_options(arch, size):
        try:
            network = _assemble(arch, encoder, classes, rep_dim, size, pretrained, options, rates)
            if size and (parts := (arch, encoder, size, str(options))) not in _tried:
                try_size(network, size)
                _tried.add(parts)
            break
        except TrainError:
            raise
        except OSError as error:  # no download: the next options would wait for it again
            raise misfit(
                arch, encoder, size, error, was_built=False, pretrained=pretrained
            ) from None
        except MISFIT_ERRORS as error:
            first_error = first_error or error
    else:
        assert first_error is not None
        raise misfit(
            arch, encoder, size, first_error, was_built=network is not None, pretrained=pretrained
        ) from None
    network.atrous_rates = rates
    network.normalization = encoder_normalization(encoder)
    network.weights_origin = weights_origin(encoder, weights, package)
    if package:
        load_package_weights(network.encoder, package, encoder)
    elif weights not in ("imagenet", "none"):
        load_encoder_weights(network.encoder, Path(weights), encoder)
    return network


def _encoder_options(
    arch: str, size: Size | None
) -> list[dict[str, Any]]:  # Any: as timm's models take them
    """Options for timm to try in turn: none, or for transformers of fixed size, another size."""
    if arch == DPT or arch in OWN_NETWORKS or size is None:
        return [{}]
    return [{}, {"strict_img_size": False}, {"img_size": size}]


def _assemble(
    arch: str,
    encoder: str,
    classes: int,
    rep_dim: int,
    size: Size | None,
    pretrained: bool,
    options: dict[str, Any],  # Any: as timm's models take them
    rates: AtrousRates | None,
) -> Network:
    """Encoder, decoder and heads, for a size that they take."""
    if arch in OWN_NETWORKS:
        if size:
            check_size(size, OWN_NETWORKS[arch].SIZE_MULTIPLE, arch, encoder)
        backbone, head = OWN_NETWORKS[arch].build_encoder_decoder(encoder)
        return _with_heads(backbone, head, classes, rep_dim)
    imagenet = True if pretrained else None  # smp warns of "imagenet"
    decoder, width = parse_arch(arch)
    if decoder in LIGHT_DECODERS:
        stride = LIGHT_DECODERS[decoder].STRIDE
        maps = get_encoder(f"tu-{encoder}", weights=imagenet, output_stride=stride, **options)
        if size:
            check_size(size, stride, arch, encoder)
        light = LIGHT_DECODERS[decoder].build_decoder(maps.out_channels, width)
        return _with_heads(maps, light, classes, rep_dim)
    if arch == DPT:
        return _with_transformer(encoder, classes, rep_dim, size, pretrained=pretrained)
    if rates is not None:
        options = options | {"decoder_atrous_rates": rates}
    if width is not None:
        options = options | {"decoder_channels": width}
    model = smp.create_model(
        decoder, f"tu-{encoder}", encoder_weights=imagenet, classes=classes, **options
    )
    if size:
        check_size(size, model.encoder.output_stride, arch, encoder)
    return Network(model.encoder, model.decoder, model.segmentation_head[0], rep_dim)


def _with_transformer(
    encoder: str, classes: int, rep_dim: int, size: Size | None, *, pretrained: bool
) -> Network:
    """A vision transformer with the decoder of DPT."""
    with torch.device("meta"):  # its patch size, without making its weights
        sketch = timm.create_model(encoder, num_classes=0)
    if not is_plain(sketch):
        raise ValueError("no vision transformer with one size of map")
    if size:
        check_size(size, patch_size(sketch), DPT, encoder)
    vit = ViTEncoder(encoder, size, pretrained=pretrained)
    with torch.no_grad():
        channels = [features.shape[1] for features in vit.eval()(torch.zeros(1, 3, *vit.size))]
    return _with_heads(vit.train(), DPTDecoder(channels), classes, rep_dim)


def _with_heads(encoder: nn.Module, decoder: Decoder, classes: int, rep_dim: int) -> Network:
    """A network whose classifier is a 1x1 convolution behind the decoder."""
    return Network(encoder, decoder, nn.Conv2d(decoder.out_channels, classes, 1), rep_dim)
