"""Stored calibrations: found again, made anew where damaged, with keys that tell networks apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from onnx import ModelProto

from edgeseg.export.quantization import calibration_cache
from edgeseg.export.quantization.quantizer import CalibrationResult, quantize
from tests.helpers.quantization import FLAVOURS, INTERFACE


def test_a_calibration_is_stored_and_a_damaged_one_made_anew(
    tmp_path: Path, calibrated: CalibrationResult
) -> None:
    for number in range(6):
        calibration_cache.store_calibration(tmp_path, f"k{number}", calibrated)
    assert len(list(tmp_path.iterdir())) == calibration_cache.MAX_FILES
    found = calibration_cache.load_calibration(tmp_path, "k5")
    assert found is not None
    for flavour in FLAVOURS:
        one, other = (
            quantize(each, INTERFACE, flavour).SerializeToString() for each in (found, calibrated)
        )
        assert one == other
    whole = (tmp_path / "k5.npz").read_bytes()
    for damaged in (
        b"",
        whole[: len(whole) // 2],
        b"no archive",
        whole[:5000] + bytes(200) + whole[5200:],
    ):
        (tmp_path / "k5.npz").write_bytes(damaged)
        assert calibration_cache.load_calibration(tmp_path, "k5") is None
    assert calibration_cache.load_calibration(tmp_path, "missing") is None


def test_the_key_of_a_calibration_follows_network_frames_and_size(network: ModelProto) -> None:
    other = ModelProto()
    other.CopyFrom(network)
    other.graph.initializer[0].raw_data = bytes(len(other.graph.initializer[0].raw_data))
    keys = {
        calibration_cache.cache_key(network, INTERFACE, ["a", "b"]),
        calibration_cache.cache_key(network, INTERFACE, ["b", "a"]),
        calibration_cache.cache_key(other, INTERFACE, ["a", "b"]),
        calibration_cache.cache_key(network, replace(INTERFACE, mean=(0, 0, 0)), ["a", "b"]),
    }
    assert len(keys) == 4
    fitted = INTERFACE.with_thresholds(2, 0.3)
    assert calibration_cache.cache_key(network, fitted, ["a", "b"]) in keys
