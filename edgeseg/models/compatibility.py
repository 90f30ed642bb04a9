"""The check that an encoder, a decoder and a size go together.

What does not is refused in a sentence that says what would.
"""

from __future__ import annotations

import copy
from difflib import get_close_matches

import segmentation_models_pytorch as smp
import timm
import torch

from edgeseg.errors import TrainError
from edgeseg.models.arch_names import parse_arch
from edgeseg.models.edge import ddrnet, edgenet, lightfpn, lraspp, stdc
from edgeseg.models.network import Network
from edgeseg.models.pretrained.weights_file import first_line
from edgeseg.models.pretrained.weights_hub import no_download
from edgeseg.models.vit import Size, is_plain

DPT, LRASPP = "dpt", "lraspp"
LIGHT_DECODERS = {"lightfpn": lightfpn, LRASPP: lraspp}  # of this project, for small devices
# Of this project from end to end.
OWN_NETWORKS = {"stdc": stdc, "ddrnet": ddrnet, "edgenet": edgenet}
ARCHS = (DPT, *LIGHT_DECODERS, *OWN_NETWORKS, *smp.MODEL_ARCHITECTURES_MAPPING)
# Decoders that want the encoder's last maps finer than it makes them.
DILATED_ARCHS = ("deeplabv3", "deeplabv3plus", "pan", LRASPP)
# What building or running a network raises when its parts do not fit.
MISFIT_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def check_own_network(arch: str, encoder: str, *, pretrained: bool) -> None:
    """Refuse networks of this project with encoders that are not theirs, and the reverse.

    Their ImageNet weights are refused too, since there are none.

    Raises:
        TrainError: the names do not go together.
    """
    if arch not in OWN_NETWORKS:
        arch_of = {name: own for own, network in OWN_NETWORKS.items() for name in network.ENCODERS}
        if encoder in arch_of and parse_arch(arch).decoder in ARCHS:
            raise TrainError(
                f"{encoder} is an encoder of arch {arch_of[encoder]} alone; "
                f"set arch to {arch_of[encoder]}"
            )
        return
    names = list(OWN_NETWORKS[arch].ENCODERS)
    if encoder not in names:
        raise TrainError(
            f"arch {arch} has encoders of its own and {encoder} is none; take {', '.join(names)}"
        )
    if pretrained:
        raise TrainError(
            f"there are no ImageNet weights of {encoder}; "
            "set weights to none, or to a .safetensors file of its own"
        )


def check_size(size: Size, multiple: int, arch: str, encoder: str) -> None:
    """Refuse a (height, width) that are not multiples of `multiple`.

    The message names the sizes nearest below and above: for 100x64 and multiples of 32 it names
    96x64 and 128x64. No side is below 32.

    Raises:
        TrainError: they are not.
    """
    if not any(side % multiple for side in size):
        return
    smallest = -(-32 // multiple)  # multiples in 32 pixels, rounded up
    lower, upper = (
        "x".join(str(max(smallest, (side + added) // multiple) * multiple) for side in size)
        for added in (0, multiple - 1)
    )
    raise TrainError(
        f"{arch} with {encoder} takes heights and widths that are multiples of {multiple}, "
        f"and {size[0]}x{size[1]} is not; set imgsz to {lower} or {upper}"
    )


def try_size(network: Network, size: Size) -> None:
    """Run a network once at `size`, without computing anything where torch can do that.

    Raises:
        ValueError: its logits have other proportions than the image.
        Exception: one of MISFIT_ERRORS, its parts do not fit at this size.
    """
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            try:
                on_meta = copy.deepcopy(network).to("meta")
                logits = on_meta(torch.empty(1, 3, *size, device="meta")).logits
            except MISFIT_ERRORS:
                logits = network(torch.zeros(1, 3, *size)).logits
    finally:
        network.train(was_training)
    if size[0] * logits.shape[3] != size[1] * logits.shape[2]:
        raise ValueError(
            f"its logits at {size[0]}x{size[1]} are {logits.shape[2]}x{logits.shape[3]}"
        )


def misfit(
    arch: str,
    encoder: str,
    size: Size | None,
    error: BaseException,
    *,
    was_built: bool,
    pretrained: bool,
) -> TrainError:
    """The refusal of a network that could not be built, or not run.

    Args:
        arch: The decoder.
        encoder: The encoder.
        size: (height, width) that was tried.
        error: What was raised.
        was_built: Whether the network could be built.
        pretrained: Whether ImageNet weights were asked for.
    """
    reason = first_line(error)
    decoder = parse_arch(arch).decoder
    if decoder not in ARCHS:
        advice = _nearest(arch, list(ARCHS), "deeplabv3plus, unet, fpn, dpt")
        return TrainError(f"there is no arch {arch}; {advice}")
    if not timm.is_model(encoder):
        advice = _nearest(encoder, timm.list_models(), "resnet50 or mobilenetv2_100")
        return TrainError(f"timm has no encoder {encoder}; {advice}")
    if was_built and size:
        return TrainError(
            f"{arch} with {encoder} cannot take images of {size[0]}x{size[1]} ({reason}); "
            "take another imgsz, or arch fpn, or an encoder such as resnet50"
        )
    if pretrained and isinstance(error, (RuntimeError, OSError)):
        return no_download(encoder, reason)
    advice = "take arch fpn or unet, or an encoder such as resnet50"
    if decoder == DPT:
        advice = "take arch fpn, or an encoder such as vit_small_patch14_dinov2"
    elif _is_plain_transformer(encoder):
        reason, advice = "a vision transformer whose maps all have one size", "set arch to dpt"
    elif decoder in DILATED_ARCHS:
        reason = "it cannot be dilated"
    return TrainError(f"{arch} cannot use the encoder {encoder} ({reason}); {advice}")


def _is_plain_transformer(encoder: str) -> bool:
    try:
        with torch.device("meta"):
            return is_plain(timm.create_model(encoder, num_classes=0))
    except MISFIT_ERRORS:
        return False


def _nearest(name: str, names: list[str], usual: str) -> str:
    """Advice for a name that is not among `names`: those like it, or else the usual ones."""
    near = get_close_matches(name, names, 3, 0.7)
    return f"did you mean {' or '.join(near)}?" if near else f"take one such as {usual}"
