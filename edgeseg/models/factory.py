"""From two names to a network: a decoder around an encoder of timm, a small net of our own, or a
clear refusal.
"""

from __future__ import annotations

import copy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder
from torch import nn

from edgeseg.errors import TrainError
from edgeseg.models import ddrnet, lraspp, stdc
from edgeseg.models.ddrnet import DdrDecoder
from edgeseg.models.lraspp import LrasppDecoder
from edgeseg.models.network import Network
from edgeseg.models.pretrained_weights import first_line, load_encoder
from edgeseg.models.stdc import StdcDecoder
from edgeseg.models.vit import DptDecoder, Size, VitEncoder, is_plain, patch_size

DPT, LRASPP = "dpt", "lraspp"  # our decoders for timm's encoders
NETS = {"stdc": stdc, "ddrnet": ddrnet}  # our own from end to end
Decoder = DptDecoder | LrasppDecoder | StdcDecoder | DdrDecoder
# What building or running a network raises when its parts do not fit.
FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
# Parts that were run once at a size and fit; a run builds the same network several times.
_fitting: set[tuple[str, str, Size, str]] = set()
DILATED = (
    "deeplabv3",
    "deeplabv3plus",
    "pan",
    LRASPP,
)  # want the encoder's last maps finer than it makes them


def build_network(
    arch: str,
    encoder: str,
    classes: int,
    weights: str = "none",
    rep_dim: int = 0,
    size: Size | None = None,
) -> Network:
    """Make a network.

    Args:
        arch: a name of segmentation-models-pytorch, such as deeplabv3plus, or lraspp; dpt for
            vision transformers; stdc or ddrnet.
        encoder: a name of timm, such as resnet50, mobilenetv2_100 or vit_small_patch14_dinov2; stdc
            and ddrnet have their own, such as stdc1_050.
        weights: "imagenet" (downloaded by timm), "none", or a safetensors file with timm's names.
        rep_dim: width of the representation head; 0 leaves it out.
        size: (height, width) that it must take; transformers are built for one, timm's own if left
            out.

    Raises:
        TrainError: an unknown name, parts or a size that do not fit, or weights that cannot be had.
    """
    pretrained = weights == "imagenet"
    _check_net(arch, encoder, pretrained=pretrained)
    network, fault = None, None
    for options in _options(arch, size):
        try:
            network = _assemble(arch, encoder, classes, rep_dim, size, pretrained, options)
            if size and (parts := (arch, encoder, size, str(options))) not in _fitting:
                _try(network, size)
                _fitting.add(parts)
            break
        except TrainError:
            raise
        except (*FAULTS, OSError) as error:
            fault = fault or error
            if isinstance(error, OSError):  # no download: it would be waited for again
                raise _refusal(
                    arch, encoder, size, error, built=False, pretrained=pretrained
                ) from None
    else:
        assert fault is not None
        raise _refusal(
            arch, encoder, size, fault, built=network is not None, pretrained=pretrained
        ) from None
    if weights not in ("imagenet", "none"):
        load_encoder(network.encoder, Path(weights), encoder)
    return network


def _options(arch: str, size: Size | None) -> list[dict[str, Any]]:  # Any: what timm's models take
    """What to tell timm: nothing, or for transformers of fixed size that this one is another."""
    if arch == DPT or arch in NETS or size is None:
        return [{}]
    return [{}, {"strict_img_size": False}, {"img_size": size}]


def _assemble(
    arch: str,
    encoder: str,
    classes: int,
    rep_dim: int,
    size: Size | None,
    pretrained: bool,
    options: dict[str, Any],
) -> Network:  # Any: as `_options`
    if arch in NETS:
        if size:
            _check_size(size, NETS[arch].STEP, arch, encoder)
        own, head = NETS[arch].parts(encoder)
        return _headed(own, head, classes, rep_dim)
    if arch == LRASPP:
        weights = "imagenet" if pretrained else None
        dilated = get_encoder(
            f"tu-{encoder}", weights=weights, output_stride=lraspp.STRIDE, **options
        )
        if size:
            _check_size(size, lraspp.STRIDE, arch, encoder)
        return _headed(dilated, LrasppDecoder(dilated.out_channels), classes, rep_dim)
    if arch != DPT:
        model = smp.create_model(
            arch,
            f"tu-{encoder}",
            encoder_weights="imagenet" if pretrained else None,
            classes=classes,
            **options,
        )
        if size:
            _check_size(size, model.encoder.output_stride, arch, encoder)
        return Network(model.encoder, model.decoder, model.segmentation_head[0], rep_dim)
    with torch.device("meta"):
        plain = timm.create_model(encoder, num_classes=0)
    if not is_plain(plain):
        raise ValueError("no vision transformer with one size of map")
    if size:
        _check_size(size, patch_size(plain), arch, encoder)
    made = VitEncoder(encoder, size, pretrained=pretrained)
    with torch.no_grad():
        channels = [features.shape[1] for features in made.eval()(torch.zeros(1, 3, *made.size))]
    return _headed(made.train(), DptDecoder(channels), classes, rep_dim)


def _headed(encoder: nn.Module, decoder: Decoder, classes: int, rep_dim: int) -> Network:
    return Network(encoder, decoder, nn.Conv2d(decoder.out_channels, classes, 1), rep_dim)


def _check_net(arch: str, encoder: str, *, pretrained: bool) -> None:
    """Nets of our own and their encoders go together, and have no ImageNet weights."""
    owners = {name: net for net, module in NETS.items() for name in module.ENCODERS}
    if arch not in NETS:
        if encoder in owners and arch in [DPT, LRASPP, *smp.MODEL_ARCHITECTURES_MAPPING]:
            raise TrainError(
                f"{encoder} is an encoder of arch {owners[encoder]} alone; set arch to {owners[encoder]}"
            )
        return
    names = list(NETS[arch].ENCODERS)
    if encoder not in names:
        raise TrainError(
            f"arch {arch} has encoders of its own and {encoder} is none; take {', '.join(names)}"
        )
    if pretrained:
        raise TrainError(
            f"there are no ImageNet weights of {encoder}; set weights to none, or to a .safetensors file of its own"
        )


def _check_size(size: Size, step: int, arch: str, encoder: str) -> None:
    if not any(side % step for side in size):
        return
    lower, upper = (
        "x".join(str(max(-(-32 // step), (side + up) // step) * step) for side in size)
        for up in (0, step - 1)
    )
    raise TrainError(
        f"{arch} with {encoder} takes heights and widths that are multiples of {step}, and {size[0]}x{size[1]} is not; "
        f"set imgsz to {lower} or {upper}"
    )


def _try(network: Network, size: Size) -> None:
    """Run it once at `size`, without computing anything where torch can do that."""
    was = network.training
    network.eval()
    try:
        with torch.no_grad():
            try:
                logits = (
                    copy.deepcopy(network)
                    .to("meta")(torch.empty(1, 3, *size, device="meta"))
                    .logits
                )
            except FAULTS:
                logits = network(torch.zeros(1, 3, *size)).logits
    finally:
        network.train(was)
    if size[0] * logits.shape[3] != size[1] * logits.shape[2]:
        raise ValueError(
            f"its logits at {size[0]}x{size[1]} are {logits.shape[2]}x{logits.shape[3]}"
        )


def _refusal(
    arch: str,
    encoder: str,
    size: Size | None,
    fault: BaseException,
    *,
    built: bool,
    pretrained: bool,
) -> TrainError:
    what = first_line(fault)
    archs = [DPT, LRASPP, *NETS, *smp.MODEL_ARCHITECTURES_MAPPING]
    if arch not in archs:
        return TrainError(
            f"there is no arch {arch}; {_nearest(arch, archs, 'deeplabv3plus, unet, fpn, dpt')}"
        )
    if not timm.is_model(encoder):
        names = timm.list_models()
        return TrainError(
            f"timm has no encoder {encoder}; {_nearest(encoder, names, 'resnet50 or mobilenetv2_100')}"
        )
    if built and size:
        return TrainError(
            f"{arch} with {encoder} cannot take images of {size[0]}x{size[1]} ({what}); take another imgsz, "
            "or arch fpn, or an encoder such as resnet50"
        )
    if pretrained and isinstance(fault, (RuntimeError, OSError)):
        return TrainError(
            f"the ImageNet weights of {encoder} could not be downloaded ({what}); "
            "set weights to a .safetensors file or to none"
        )
    cure = "take arch fpn or unet, or an encoder such as resnet50"
    if arch == DPT:
        cure = "take arch fpn, or an encoder such as vit_small_patch14_dinov2"
    elif _is_plain(encoder):
        what, cure = "a vision transformer whose maps all have one size", "set arch to dpt"
    elif arch in DILATED:
        what = "it cannot be dilated"
    return TrainError(f"{arch} cannot use the encoder {encoder} ({what}); {cure}")


def _is_plain(encoder: str) -> bool:
    try:
        with torch.device("meta"):
            return is_plain(timm.create_model(encoder, num_classes=0))
    except FAULTS:
        return False


def _nearest(name: str, names: list[str], usual: str) -> str:
    near = get_close_matches(name, names, 3, 0.7)
    return f"did you mean {' or '.join(near)}?" if near else f"take one such as {usual}"
