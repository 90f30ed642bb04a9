"""`infer`, `bench`, `eval` and `doctor` as they are typed: inside a site, outside of any, and
wrongly.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from edgeseg.atomic_files import replace_link
from edgeseg.cli.app import app
from edgeseg.imaging.mask_png import encode_palette_png
from edgeseg.runtime.framelog.reader import iter_records, verify_log
from edgeseg.runtime.framelog.record_format import read_record
from tests.helpers.bundles import CLASSES, painted
from tests.helpers.footage import new_site, save_image, save_video

TILES = np.array([[0, 1], [2, 3]])


def edgeseg(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def good(*arguments: object) -> Result:
    done = edgeseg(*arguments)
    assert done.exit_code == 0, done.output
    return done


def sentence(*arguments: object) -> str:
    """The one line that a mistake earns."""
    done = edgeseg(*arguments)
    assert done.exit_code == 1 and done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in done.output
    return lines[0]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return save_video(
        tmp_path / "clip.avi", [painted(np.roll(TILES, number), 96, 128) for number in range(8)]
    )


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory that is in no site."""
    folder = tmp_path / "somewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def inside(tmp_path: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site with a current bundle, as working directory."""
    root = new_site(tmp_path / "site", [spec.name for spec in CLASSES]).root
    (root / "bundles").mkdir(exist_ok=True)
    shutil.copytree(bundle_path, root / "bundles" / "1")
    replace_link(root / "bundles" / "current", "1")
    monkeypatch.chdir(root)
    return root


def test_everything_at_once_on_a_video(bundle_path: Path, clip: Path, outside: Path) -> None:
    log = ["--log", "log", "--set", "log.threshold=0", "--set", "log.near_duplicate=0"]
    done = good(
        "infer",
        bundle_path,
        "--source",
        clip,
        "--save",
        "out.mp4",
        "--masks",
        "masks",
        *log,
        "--json",
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in lines] == list(range(8)) and {
        line["camera"] for line in lines
    } == {"clip"}
    assert set(lines[0]["area"]) == {spec.name for spec in CLASSES} and 0 <= lines[0]["score"] <= 1
    assert sorted(os.listdir("masks")) == [f"{number:06d}.png" for number in range(8)]
    assert Path("out.mp4").stat().st_size > 1000 and sorted(os.listdir(outside)) == [
        "log",
        "masks",
        "out.mp4",
    ]
    records = list(iter_records(Path("log")))
    assert records and not verify_log(Path("log")).bad
    assert read_record(records[0]).image().shape == (96, 128, 3)
    for part in (
        "8 frames",
        "FPS",
        "p50",
        "p95",
        "p99",
        "decode",
        "infer",
        "logged",
        "out.mp4",
        "next: edgeseg log ls log",
    ):
        assert part in done.stderr


def test_pictures_give_pictures_with_their_names(
    bundle_path: Path, tmp_path: Path, outside: Path
) -> None:
    for name in ("b2.png", "b10.png"):
        save_image(tmp_path / "in" / name, painted(TILES))
    (tmp_path / "in" / "c.png").write_bytes(b"x")
    done = good(
        "infer", bundle_path, "--source", tmp_path / "in", "--save", "out", "--precision", "fp32"
    )
    assert sorted(os.listdir("out")) == ["b10.jpg", "b2.jpg"] and "fp32 on cpu" in done.stderr
    assert "1 unreadable files left out: c.png" in done.stderr


def test_limit_and_camera(bundle_path: Path, clip: Path, outside: Path) -> None:
    done = good(
        "infer", bundle_path, "--source", clip, "--limit", 3, "--camera", "north gate", "--json"
    )
    assert [json.loads(line)["camera"] for line in done.stdout.splitlines()] == ["north-gate"] * 3
    assert "ended by limit" in done.stderr and os.listdir(outside) == []


def test_auto_writes_a_numbered_results_folder(
    bundle_path: Path, clip: Path, outside: Path
) -> None:
    good("infer", bundle_path, "--source", clip, "--save", "auto")
    good(
        "infer",
        bundle_path,
        "--source",
        clip,
        "--save",
        "auto",
        "--masks",
        "auto",
        "--set",
        "infer.queue=2",
    )
    first, second = outside / "runs/infer/exp1", outside / "runs/infer/exp2"
    assert sorted(os.listdir(first)) == ["config.toml", "metrics.json", "overlay.mp4"]
    assert sorted(os.listdir(second)) == ["config.toml", "masks", "metrics.json", "overlay.mp4"]
    figures = json.loads((second / "metrics.json").read_text())
    assert (
        figures["frames"] == 8
        and figures["ended"] == "end of source"
        and "p99" in figures["stages_ms"]["infer"]
    )
    assert "queue = 2" in (second / "config.toml").read_text()


def test_inside_a_site_the_current_bundle_runs(
    inside: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inside / "bundles")  # anywhere below the site
    good("infer", "--source", clip, "--save", "auto")
    assert (inside / "runs/infer/exp1/overlay.mp4").exists()
    assert json.loads(good("bench", "--frames", 3, "--json").stdout)["files"].keys() == {
        "fp32",
        "int8-cpu",
    }


def test_bench_prints_a_table_for_every_file(bundle_path: Path, clip: Path, outside: Path) -> None:
    done = good("bench", bundle_path, "--frames", 4, "--threads", 1, "--source", clip)
    for part in (
        "model.onnx",
        "model.int8-cpu.onnx",
        "resize",
        "infer",
        "overlay",
        "end to end",
        "1.00x",
    ):
        assert part in done.stdout
    assert "next: edgeseg infer" in done.stderr


def labelled(folder: Path) -> list[object]:
    for name, tiles in (("1", TILES), ("2", TILES[::-1])):
        save_image(folder / "images" / f"{name}.png", painted(tiles, 128, 192))
        (folder / "masks").mkdir(exist_ok=True)
        truth = tiles.astype(np.uint8).repeat(64, 0).repeat(96, 1)
        truth[:5] = 99
        (folder / "masks" / f"{name}.png").write_bytes(
            encode_palette_png(truth, [spec.rgb for spec in CLASSES])
        )
    return ["--images", folder / "images", "--masks", folder / "masks"]


def test_eval_of_a_bundle(bundle_path: Path, tmp_path: Path, outside: Path) -> None:
    pairs = labelled(tmp_path)
    found = json.loads(
        good("eval", bundle_path, *pairs, "--ignore", 99, "--precision", "int8", "--json").stdout
    )
    assert (
        found["frames"] == 2
        and found["miou"] > 97
        and set(found["iou"]) == {spec.name for spec in CLASSES}
    )
    assert "mean" in good("eval", bundle_path, *pairs, "--ignore", 99).stdout
    assert "99" in sentence("eval", bundle_path, *pairs)


def test_eval_looks_at_the_whole_set_of_masks(
    bundle_path: Path, tmp_path: Path, outside: Path
) -> None:
    labelled(tmp_path)
    masks = tmp_path / "masks"
    for name in ("1", "2"):
        mask = np.array(Image.open(masks / f"{name}.png"))
        mask[:5] = 255
        (masks / f"{name}.png").unlink()
        Image.fromarray(np.where(mask == 255, 255, mask + 1).astype(np.uint8)).save(
            masks / f"{name}_mask.png"
        )
    pairs = ["--images", tmp_path / "images", "--masks", masks]
    assert "2 would pair with --mask-name '{}_mask'" in sentence("eval", bundle_path, *pairs)
    pairs += ["--mask-name", "{}_mask"]
    assert "add --first-id 1" in sentence("eval", bundle_path, *pairs)
    found = json.loads(good("eval", bundle_path, *pairs, "--first-id", 1, "--json").stdout)
    assert found["miou"] > 97
    void = [option for number in range(1, 5) for option in ("--ignore", number)]
    assert "no pixel of the 2 masks is labelled" in sentence("eval", bundle_path, *pairs, *void)


def test_eval_without_folders_uses_the_sites_val_frames(inside: Path, tmp_path: Path) -> None:
    assert "0 val frames" in sentence("eval")
    labelled(tmp_path)
    good(
        "add", "labels", tmp_path / "images", tmp_path / "masks", "--split", "val", "--ignore", "99"
    )
    assert json.loads(good("eval", "--json").stdout)["frames"] == 2


def test_doctor_prints_the_same_facts_as_json() -> None:
    facts = json.loads(good("doctor", "--json").stdout)
    assert facts["python"] in good("doctor").stdout and facts["packages"]


MISTAKES = [
    (["infer", "BUNDLE", "--source", "nowhere.mp4"], "does not exist"),
    (["infer", "BUNDLE", "--source", "gopher://x"], "no known kind"),
    (["infer", "nothing", "--source", "CLIP"], "is no bundle"),
    (["infer", "--source", "CLIP"], "name the bundle"),
    (["infer", "BUNDLE", "--source", "CLIP", "--save", "out.xyz"], "end its name in"),
    (["infer", "BUNDLE", "--source", "CLIP", "--masks", "CLIP"], "would be replaced"),
    (["infer", "BUNDLE", "--source", "CLIP", "--precision", "int4"], "infer.precision"),
    (["infer", "BUNDLE", "--source", "CLIP", "--precision", "fp16"], "cannot run fp16 on cpu"),
    (["infer", "BUNDLE", "--source", "CLIP", "--backend", "tensorrt"], "cannot use tensorrt"),
    (["infer", "BUNDLE", "--source", "CLIP", "--set", "infer.speed=9"], "infer.speed"),
    (["infer", "BUNDLE", "--source", "CLIP", "--set", "nonsense"], "KEY=VALUE"),
    (["bench", "BUNDLE", "--source", "nowhere"], "does not exist"),
    (["bench", "BUNDLE", "--backend", "cuda"], "cannot use cuda"),
    (["eval", "BUNDLE"], "give both --images"),
    (["eval", "BUNDLE", "--images", "."], "give both --images"),
    (["eval", "BUNDLE", "--images", "nowhere", "--masks", "nowhere"], "does not exist"),
    (["eval", "nothing", "--images", ".", "--masks", "."], "is no bundle"),
]


@pytest.mark.parametrize(
    ("arguments", "what"),
    MISTAKES,
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_earn_one_sentence(
    arguments: list[str],
    what: str,
    bundle_path: Path,
    clip: Path,
    outside: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    places = {"BUNDLE": bundle_path, "CLIP": clip}
    assert what in sentence(*(places.get(argument, argument) for argument in arguments))
    assert os.listdir(outside) == []


def test_two_runs_cannot_share_a_frame_log(bundle_path: Path, clip: Path, outside: Path) -> None:
    from edgeseg.atomic_files import lock_folder

    good("infer", bundle_path, "--source", clip, "--log", "log")
    with lock_folder(Path("log")):
        assert "in use" in sentence("infer", bundle_path, "--source", clip, "--log", "log")


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """A process of its own, that has printed its first line; its stderr goes to a file in `cwd`."""
    command = [sys.executable, "-m", "edgeseg.cli.app", *map(str, arguments)]
    with open(cwd / "stderr", "w") as err:
        process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=err, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("{"), (cwd / "stderr").read_text()
    return process


def test_a_signal_drains_and_ends_with_the_summary(
    bundle_path: Path, tmp_path: Path, outside: Path
) -> None:
    long = save_video(tmp_path / "long.avi", [painted(TILES, 96, 128)] * 1500)
    process = start(
        "infer", bundle_path, "--source", long, "--save", "out.mp4", "--json", cwd=outside
    )
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    lines = 1 + len(process.stdout.read().splitlines())
    assert process.wait(60) == 0
    err = (outside / "stderr").read_text()
    assert (
        lines < 1400
        and f"{lines} frames" in err
        and "ended by stopped" in err
        and (outside / "out.mp4").exists()
    )


SIGNALS_TO_ITSELF = """
import os, signal, threading
from edgeseg.cli.device.infer import stopping
stop, before = threading.Event(), signal.getsignal(signal.SIGINT)
try:
    with stopping(stop):
        os.kill(os.getpid(), signal.SIGINT)
        print("asked" if stop.wait(5) else "not asked")
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(5)
except KeyboardInterrupt:
    print("interrupted")
print("as before" if signal.getsignal(signal.SIGINT) is before else "changed")
"""


def test_the_first_signal_asks_and_the_second_interrupts() -> None:
    done = subprocess.run(  # a process of its own: a signal gone astray would end a whole worker
        [sys.executable, "-c", SIGNALS_TO_ITSELF], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split("\n")[:3] == ["asked", "interrupted", "as before"], done.stderr


def test_a_reader_that_leaves_is_no_error(bundle_path: Path, tmp_path: Path, outside: Path) -> None:
    long = save_video(tmp_path / "long.avi", [painted(TILES, 96, 128)] * 500)
    process = start("infer", bundle_path, "--source", long, "--json", cwd=outside)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == 0
    err = (outside / "stderr").read_text()
    assert "BrokenPipe" not in err and "ended by stopped" in err
