"""The hub that timm downloads weights from, and what can be done where it cannot be reached."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, try_to_load_from_cache
from timm.models import get_pretrained_cfg

from edgeseg.errors import TrainError
from edgeseg.installation import install_command
from edgeseg.models.pretrained.weight_packages import EXTRA, PACKAGES, package_for

FILES = ("model.safetensors", "pytorch_model.bin")  # as timm asks for them


def require_hub(encoder: str) -> None:
    """Refuse at once weights that timm would wait for in vain for a minute.

    The hub's name must be known to the network, unless the weights were downloaded before, or a
    proxy does the asking.

    Raises:
        TrainError: the weights cannot be downloaded here.
    """
    repository = getattr(get_pretrained_cfg(encoder, allow_unregistered=True), "hf_hub_id", None)
    host = urlsplit(constants.ENDPOINT).hostname
    if not repository or not host or getproxies():
        return
    if any(isinstance(try_to_load_from_cache(repository, file), str) for file in FILES):
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        raise no_download(encoder, f"{host}: {error.strerror or error}") from None


def no_download(encoder: str, reason: str) -> TrainError:
    """The refusal of ImageNet weights that could not be downloaded, with what else there is.

    Args:
        encoder: Name of the encoder.
        reason: What went wrong.
    """
    failed = f"the ImageNet weights of {encoder} could not be downloaded ({reason})"
    bring = f"`{install_command(EXTRA)}`"
    otherwise = "set weights to a .safetensors file or to none"
    if package := package_for(encoder):
        return TrainError(f"{failed}; {bring} brings them ({package.name}), or {otherwise}")
    offered = next(iter(PACKAGES))
    return TrainError(
        f"{failed}; {otherwise}, or take the encoder {offered}, whose weights {bring} brings"
    )
