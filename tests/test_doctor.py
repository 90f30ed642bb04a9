"""`doctor` says what is there, what is missing, and how to get it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg import doctor
from edgeseg.installation import install_command


def test_what_is_installed_is_found_with_its_version(tmp_path: Path) -> None:
    found = doctor.examine(tmp_path)
    versions = {package.name: package.version for package in found.packages}
    assert versions["numpy"] == np.__version__ and versions["onnxruntime"]
    assert "CPUExecutionProvider" in found.providers and found.cores >= 1 and found.free_bytes > 0
    assert found.as_dict()["packages"][0]["name"] == "numpy"


def test_missing_packages_come_with_their_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extras = {
        "device": ("no-such-package",),
        "tensorrt": ("tensorrt-of-nobody",),
        "weights": ("weights-of-nobody",),
    }
    monkeypatch.setattr(doctor, "EXTRAS", extras)
    advice = "\n".join(doctor.examine(tmp_path).advice)
    assert "no-such-package" in advice and install_command("device") in advice
    assert "tensorrt-of-nobody" not in advice  # without a GPU nobody needs it
    assert "weights-of-nobody" not in advice  # nor these with a network


def test_a_module_without_a_pip_package_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "MODULES", {"opencv-of-nobody": "cv2"})
    monkeypatch.setattr(doctor, "EXTRAS", {"device": ("opencv-of-nobody",)})
    assert doctor.examine(tmp_path).packages[0].version == "found, version unknown"


X86 = "processor : 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 avx512_vnni sse\n"
ARM = "processor : 0\nFeatures\t: fp asimd asimddp\nCPU part : 0xd42\n\nModel\t\t: Some board\n"


@pytest.mark.parametrize(
    ("text", "name", "features"),
    [(X86, "Some CPU @ 2 GHz", ["avx2", "avx512_vnni"]), (ARM, "Some board", ["asimd", "asimddp"])],
)
def test_processors_are_described_by_what_int8_needs(
    text: str, name: str, features: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_read", lambda path: text if path.name == "cpuinfo" else "")
    found = doctor.examine(tmp_path)
    assert (found.processor, found.features) == (name, features)
    assert not any("INT8" in sentence for sentence in found.advice)


def test_a_processor_without_dot_products_is_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_read", lambda path: "flags : sse avx\n")
    assert any("no INT8 dot product" in sentence for sentence in doctor.examine(tmp_path).advice)


def test_a_jetson_is_told_by_its_release_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "model": "NVIDIA Jetson Orin Nano\0",
        "nv_tegra_release": "# R36 (release), REVISION: 4.3\n",
    }
    monkeypatch.setattr(doctor, "_read", lambda path: files.get(path.name, ""))
    found = doctor.examine(tmp_path)
    assert found.jetson == "NVIDIA Jetson Orin Nano R36 (release)"
    assert any("NVIDIA's build" in sentence for sentence in found.advice)
