"""The race's processes, rounds and forms, without the peer."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from benchmarks.race.forms import EDGESEG, NETWORK, WHOLE, Form, named_paths, own_forms, peer_forms
from benchmarks.race.forms import plain_forms as forms_of_files
from benchmarks.race.speed import Course, RaceError, Rounds, python_of, race, summarize

HEIGHT, WIDTH = 8, 12


@pytest.fixture
def course(tmp_path: Path) -> Course:
    clip = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 16))
    for level in (0, 90, 180):
        writer.write(np.full((16, 32, 3), level, np.uint8))
    writer.release()
    return Course(str(clip), (HEIGHT, WIDTH), threads=1, frames=3, rounds=2)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A graph from (1, 3, H, W) float32 to itself that adds one."""
    sides = [1, 3, HEIGHT, WIDTH]
    graph = helper.make_graph(
        [helper.make_node("Add", ["image", "one"], ["out"])],
        "add",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, sides)],
        [helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])],
    )
    path = tmp_path / "network.onnx"
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def onnxruntime_form(network: Path) -> Form:
    return forms_of_files({"add": network})[0]


def test_rounds_are_run_once_and_kept_after_each(
    course: Course, network: Path, tmp_path: Path
) -> None:
    form, kept = onnxruntime_form(network), list[int]()
    rounds: Rounds = {}

    def keep(versions: dict[str, str]) -> None:
        kept.append(len(rounds[form.name][NETWORK]))
        assert versions["onnxruntime"]

    race([form], course, None, tmp_path / "logs", rounds, keep)
    assert kept == [1, 2]
    for each in rounds[form.name][NETWORK]:
        assert each["fps"] > 0 and each["cpu_ms"] >= 0 and each["peak_mb"] > 10
    before = list(rounds[form.name][NETWORK])
    race([form], course, None, tmp_path / "logs", rounds, keep)
    assert kept == [1, 2] and rounds[form.name][NETWORK] == before


def test_a_form_that_cannot_be_loaded_is_one_sentence(course: Course, tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    form = onnxruntime_form(broken)
    with pytest.raises(RaceError, match=r"add, ONNX Runtime FP32 \(network\) ended with .*rest$"):
        race([form], course, None, tmp_path / "logs", {}, lambda versions: None)


def test_ratios_are_taken_round_by_round() -> None:
    base = [{"fps": fps, "cpu_ms": 10.0, "peak_mb": 1.0} for fps in (10.0, 20.0, 40.0)]
    own = [{"fps": 2 * each["fps"], "cpu_ms": 4.0, "peak_mb": 7.0} for each in base]
    found = summarize(own, base)
    assert found["fps_ratio"] == 2 and found["cpu_ratio"] == 2.5
    assert found["fps"] == 40 and found["best_fps"] == 80 and found["peak_mb"] == 7


def test_a_bundle_races_end_to_end_where_its_back_end_exists(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"a")
    (tmp_path / "model.int8-cpu.onnx").write_bytes(b"b")
    without = own_forms({"fast": tmp_path}, ["auto", "cpu"])
    names = {form.name: form.parts for form in without}
    assert names == {
        "edgeseg fast, ONNX Runtime INT8": (WHOLE, NETWORK),
        "edgeseg fast, ONNX Runtime FP32": (WHOLE, NETWORK),
        "edgeseg fast, OpenVINO INT8": (NETWORK,),
        "edgeseg fast, OpenVINO FP32": (NETWORK,),
    }
    offered = own_forms({"fast": tmp_path}, ["cpu", "openvino"])
    assert all(WHOLE in form.parts for form in offered)
    assert {form.facts()["digest"] for form in offered} == {"ca978112ca1b", "3e23e8160039"}


def test_only_files_that_were_exported_race(tmp_path: Path) -> None:
    (tmp_path / "best.onnx").write_bytes(b"")
    (tmp_path / "best_int8_openvino_model").mkdir()
    forms = peer_forms("yolo26n-sem", tmp_path / "best.pt")
    assert [form.name for form in forms] == [
        "yolo26n-sem, OpenVINO INT8",
        "yolo26n-sem, ONNX Runtime FP32",
    ]


def test_the_peer_needs_its_own_interpreter(tmp_path: Path) -> None:
    peer = peer_forms_of_one(tmp_path)
    assert python_of(peer, NETWORK, None) == sys.executable  # a plain ONNX file
    assert python_of(peer, WHOLE, "peer/python") == "peer/python"
    with pytest.raises(RaceError, match="give --peer-python, or --make-peer-env"):
        python_of(peer, WHOLE, None)
    own = Form("own", EDGESEG, "openvino", "int8", "file")
    assert python_of(own, WHOLE, "peer/python") == sys.executable


def peer_forms_of_one(folder: Path) -> Form:
    (folder / "best.onnx").write_bytes(b"")
    return peer_forms("yolo26n-sem", folder / "best.pt")[0]


def test_paths_are_named_by_themselves_or_by_the_user(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b=c"
    assert named_paths([str(first), f"best={second}"]) == {"a": first, "best": second}
