"""What version dd65a29 wrote is still read, run and gone on with; see golden/dd65a29/README.md.

Masks and weights must be the very same on the machine that wrote the files, and all but the same on
others: engines round in their own ways.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from timm.models import register_model
from timm.models.efficientnet import _gen_mobilenet_v2

from edgeseg.bundle import Bundle
from edgeseg.cli.app import app
from edgeseg.config import LogConfig
from edgeseg.methods.online import mean_teacher
from edgeseg.runtime.backends.open_runner import open_runner
from edgeseg.runtime.framelog.frame_log import FrameLog
from edgeseg.runtime.framelog.reader import iter_records, verify_log
from edgeseg.runtime.framelog.record_format import read_record
from edgeseg.site import Site

GOLDEN = Path(__file__).parent / "golden" / "dd65a29"
EXPECTED = json.loads((GOLDEN / "expected.json").read_bytes())
ROUND = EXPECTED["round"]
LEAST = 0.995  # share of pixels that must agree on any machine


def mobilenetv2_tiny(pretrained: bool = False, **rest: Any) -> Any:  # Any: of timm, without types
    """MobileNetV2 with a tenth of the channels and one block a stage, so that files are small."""
    make: Any = _gen_mobilenet_v2
    return make("mobilenetv2_tiny", 0.1, 0.3, pretrained=pretrained, **rest)


register_model(mobilenetv2_tiny)


def sha(array: NDArray[Any]) -> str:  # Any: of every type
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def same_machine() -> bool:
    """Whether bits may be compared."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    here = {"cpu": cpu, "onnxruntime": onnxruntime.__version__, "torch": torch.__version__}
    return bool(here == EXPECTED["machine"])


# --- the bundle


def test_the_bundle_opens_and_is_whole() -> None:
    bundle = Bundle.open(GOLDEN / "bundle")
    bundle.verify()
    assert {"model.onnx", "model.int8-cpu.onnx", "model.int8-trt.onnx"} < set(bundle.manifest.files)
    assert [spec.name for spec in bundle.manifest.classes] == ["sky", "water", "bank"]
    assert bundle.digest == EXPECTED["bundle"]["digest"]


@pytest.mark.parametrize("flavour", ["fp32", "int8-cpu"])
def test_the_bundle_sees_what_it_saw(flavour: Any) -> None:  # Any: Literal elsewhere
    with np.load(GOLDEN / "bundle" / "golden.npz") as golden, np.load(GOLDEN / "masks.npz") as kept:
        frames, masks = golden["frames"], kept[flavour]
        assert flavour != "fp32" or (golden["masks"] == masks).all()
    with open_runner(GOLDEN / "bundle", "cpu", flavour, threads=1) as run:
        found = [run(frame[None]) for frame in frames]
    assert (np.concatenate([each.mask for each in found]) == masks).mean() > LEAST
    for each, wanted in zip(found, EXPECTED["bundle"][flavour], strict=True):
        assert not same_machine() or sha(each.mask[0]) == wanted["mask"]
        assert float(each.score[0]) == pytest.approx(wanted["score"], abs=0.01)
        assert each.area[0].tolist() == pytest.approx(wanted["area"], abs=0.01)
        assert float(each.entropy.mean()) == pytest.approx(wanted["entropy_mean"], abs=0.01)


# --- the frame log


def readings(folder: Path) -> list[dict[str, Any]]:  # Any: JSON values
    """Every record as expected.json has it."""
    found = []
    for path in iter_records(folder):
        record = read_record(path)
        mask, entropy = record.mask(), record.entropy()
        found.append(
            {
                "path": path.relative_to(folder).as_posix(),
                "id": record.id,
                "header": json.loads(record.header.canonical()),
                "image_shape": list(record.image().shape),
                "mask": None if mask is None else sha(mask),
                "entropy": None if entropy is None else sha(entropy),
            }
        )
    return found


def test_the_frame_log_reads_as_it_did() -> None:
    assert readings(GOLDEN / "log") == EXPECTED["log"]
    assert {each["header"]["reason"] for each in EXPECTED["log"]} == {"score", "random", "flagged"}
    result = verify_log(GOLDEN / "log")
    assert (result.good, result.bad) == (len(EXPECTED["log"]), [])


def test_the_frame_log_can_be_appended_to(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    shutil.copytree(GOLDEN / "log", folder)
    config = LogConfig(min_free_bytes=0)
    with FrameLog.open(folder, config, device="box", model="1" * 64, threshold=0.25) as log:
        image = np.random.default_rng(9).integers(0, 256, (64, 96, 3), np.uint8)
        path = log.put(image, camera="river", score=0.5, mask=None, entropy=None, monotonic_ns=0)
    assert readings(folder)[:-1] == EXPECTED["log"]
    header = read_record(path).header
    assert (header.boot, header.seq) == (EXPECTED["log"][-1]["header"]["boot"] + 1, 0)
    assert verify_log(folder).good == len(EXPECTED["log"]) + 1


# --- the round


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """The site as a killed `edgeseg adapt` left it; where it is named in full, by its new name."""
    root = tmp_path / "site"
    shutil.copytree(GOLDEN / "site", root, symlinks=True)
    for path in [*root.rglob("origin.json"), *root.rglob("state.json")]:
        path.write_text(path.read_text().replace("@SITE@", str(root)))
    return root


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(path: Path) -> str:
    """A digest of tensors by name, type, shape and bytes."""
    summed = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        value = tensor.numpy()
        summed.update(f"{name} {value.dtype} {value.shape}\n".encode() + value.tobytes())
    return summed.hexdigest()


@pytest.mark.usefixtures("one_thread")
def test_a_round_that_was_killed_while_it_trained_goes_on_to_its_end(
    site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = site / "rounds" / "0001"
    before = json.loads((folder / "state.json").read_bytes())
    assert list(before["steps"]) == ["pull", "select", "pseudo-label"]
    checkpoints = [path.name for path in (folder / "train" / "checkpoint").iterdir()]
    monkeypatch.chdir(site)
    # Mean Teacher, the method of the round, had this weight for any number of classes then.
    monkeypatch.setattr(mean_teacher, "WEIGHT", 10 / len(Site.open(site).config.classes))
    app(["adapt", "--resume", "--json"], standalone_mode=False)
    said = json.loads(capsys.readouterr().out)
    assert (said["round"], said["verdict"]) == (1, ROUND["verdict"]), said["reason"]
    after = json.loads((folder / "state.json").read_bytes())
    assert {name: after["steps"][name] for name in before["steps"]} == before["steps"]
    assert list(after["steps"]) == ROUND["steps"]
    # A training that had begun anew would have written its own checkpoint of this step.
    assert [path.name for path in (folder / "train" / "checkpoint").iterdir()] == checkpoints
    assert said["figures"]["after"]["miou"] == pytest.approx(ROUND["miou"], abs=2)
    if same_machine():
        for name, wanted in ROUND["weights"].items():
            assert weights(folder / name) == wanted
    current = Bundle.open(site / "bundles" / "current")
    current.verify()
    assert current.manifest.seq == ROUND["seq"]
