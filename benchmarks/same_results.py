"""What a checkout computes and writes, as digests: trained weights, bundles, frame logs, a round.

    python benchmarks/same_results.py --checkout OLD --out old.json --weights ENCODER.safetensors
    python benchmarks/same_results.py --checkout NEW --out new.json --weights ENCODER.safetensors
    python benchmarks/same_results.py --compare old.json new.json

The first two draw the same small site and do the whole job on it with nothing but the command line
of the checkout: init, add, three methods, distill, exports up to trained codes, infer, eval, and a
round of adaptation, on one CPU thread in float32. With --work the folder is kept, and the same
command goes on after the last part that is in the JSON file. The third prints each entry as same or
DIFFERENT, and ends with exit code 1 if anything differs.

An entry is the SHA-256 of a file, or the JSON that a command printed or wrote. Tensors are taken by
name, type, shape and bytes in the order of their names, and so are arrays; TOML and JSON by their
values; pictures of a folder together; other files byte by byte. Left out are times and speeds,
versions, the machine, digests of what holds such (`DROPPED`), and files that hold nothing else that
counts (`SKIPPED`). The job's own folder is called WORK in every text. Both runs must be made on one
machine with one set of packages: those are noted, and a comparison tells where they differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.torch import load_file

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Json = Any  # what the commands print and write
Image = NDArray[np.uint8]
COLORS = {
    "sky": (150, 190, 230),
    "water": (50, 90, 120),
    "bank": (150, 110, 70),
    "boat": (200, 50, 60),
}
HEIGHT, WIDTH = 120, 160  # of the pictures; the networks see 96x128
LABELLED, FOOTAGE, SEEN, LOGGED = 24, 16, 6, 8  # pictures of each kind
METHODS = ("cutmix_mt", "u2pl", "stpp")
OWN_SETTINGS = {"cutmix_mt": ("train.confidence=0.6",)}  # those that others refuse
PACKAGES = ("torch", "timm", "onnx", "onnxruntime", "numpy", "opencv-python-headless", "pillow")

# Keys that are taken out of every JSON.
TIMES = {"seconds", "seconds_per_step", "ms", "ms_median", "speedup", "fps", "created", "started"}
# "tensorrt" is what a library of NVIDIA said, where one is installed
VERSIONS = {"edgeseg", "torch", "onnx", "onnxruntime", "tensorrt", "machine", "threads"}
DIGESTS = {"config_sha256", "data_sha256", "fingerprint", "inputs", "files", "card.md"}
DROPPED = TIMES | VERSIONS | DIGESTS
LOG_DROPPED = {
    "time",
    "monotonic_ns",
    "clock_synced",
    "device",
    "model",
}  # of records and their frames
SKIPPED = ("card.md", "report.html", "origin.json", "done.json", "events.out.*", ".*")
NAMES = (  # digests in names that depend on the time
    (re.compile(r"(step-\d{8})-[0-9a-f]{16}"), r"\1"),
    (re.compile(r"(\d{6}-\d{10}-\d{3})-[0-9a-f]{32}"), r"\1"),
    (re.compile(r"(round-\d{4})-[0-9a-f]{8}"), r"\1"),
    (re.compile(r"\d+\.\d FPS"), "FPS"),
)

LOOP = (
    "imgsz=[96, 128]",
    "steps=40",
    "batch=2",
    "batch_unlabelled=2",
    "eval_every=20",
    "checkpoint_every=20",
    "encoder_lr=1e-3",
    "decoder_lr=4e-3",
    "ema=0.9",
    "workers=1",
    'precision="32"',
    'device="cpu"',
    "seed=0",
)
SETTINGS = (
    *(f"{table}.{line}" for table in ("train", "distill") for line in LOOP),
    "train.rep_dim=32",
    'distill.encoder="mobilenetv2_050"',
    'distill.weights="none"',
    "export.calibration_frames=8",
    "export.max_drop=100",
    "export.max_class_drop=100",
    "export.min_speedup=0",
    "export.qat_steps=12",
    "export.threads=1",
    "infer.threads=1",
    'infer.backend="cpu"',
    "log.threshold=0.0",
    "log.random_share=0.0",
    "log.per_hour=1000",
    "log.min_free_bytes=0",
    "adapt.min_records=3",
    "adapt.train_steps=8",
    "adapt.distill_steps=8",
    "adapt.draws=200",
    "adapt.max_drop=100",
    "adapt.max_class_drop=100",
)


def scene(seed: int) -> tuple[Image, Image]:
    """A picture (H, W, 3) RGB of a river under some light, and its mask (H, W)."""
    random = np.random.default_rng(seed)
    across = np.linspace(0, 2 * np.pi, WIDTH)
    waves = random.uniform(1, 5, 2)[:, None] * np.sin(
        across * random.uniform(1, 3) + random.uniform(0, 6, 2)[:, None]
    )
    tops = np.array([40, 84])[:, None] + random.integers(-10, 10, (2, 1)) + waves
    rows = np.arange(HEIGHT)[:, None]
    mask = (rows >= tops[0]).astype(np.uint8) + (rows >= tops[1]).astype(np.uint8)
    top, left = (int(value) for value in random.integers((44, 10), (70, 110)))
    mask[top : top + 12, left : left + 30] = 3
    colors = np.array(list(COLORS.values()), np.float32)[mask]
    pattern = cv2.resize(random.uniform(-50, 50, (8, 9)).astype(np.float32), (WIDTH, HEIGHT))
    noise = random.normal(0, 10, (HEIGHT, WIDTH, 3))
    image = colors * random.uniform(0.7, 1.1) + pattern[..., None] + noise
    return np.clip(image, 0, 255).astype(np.uint8), mask


def draw(work: Path) -> None:
    """Pictures and masks for the whole job."""
    plan = {
        "images": (0, LABELLED, ".png"),
        "footage": (100, FOOTAGE, ".jpg"),
        "pictures": (200, SEEN, ".png"),
        "later": (300, LOGGED, ".png"),
    }
    (work / "masks").mkdir(parents=True)
    for folder, (first, number, suffix) in plan.items():
        (work / folder).mkdir()
        for place in range(number):
            image, mask = scene(first + place)
            cv2.imwrite(str(work / folder / f"{place:03}{suffix}"), image[..., ::-1])
            if folder == "images":
                cv2.imwrite(str(work / "masks" / f"{place:03}.png"), mask)


@dataclass
class Job:
    """The commands of one checkout on one site.

    Attributes:
        work: holds the site and everything beside it.
        settings: given as --set to every command that takes them.
        entries: what was found so far.
    """

    checkout: Path
    work: Path
    settings: tuple[str, ...]
    entries: dict[str, Json] = field(default_factory=dict)

    @property
    def site(self) -> Path:
        """The site's folder."""
        return self.work / "site"

    @property
    def environment(self) -> dict[str, str]:
        """That of the commands: the checkout, one thread, no GPU."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EDGESEG")}
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        package = (
            self.checkout / "src" if (self.checkout / "src" / "edgeseg").is_dir() else self.checkout
        )
        return (
            kept
            | threads
            | {"PYTHONPATH": str(package), "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}
        )

    def check(self) -> str:
        """The version of the package, which must be the checkout's own."""
        code = "import edgeseg; print(edgeseg.__file__); print(edgeseg.__version__)"
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=self.work, env=self.environment, check=True, capture_output=True, text=True
        )
        where, found = done.stdout.split()
        if not Path(where).resolve().is_relative_to(self.checkout.resolve()):
            raise SystemExit(f"edgeseg comes from {where} and not from {self.checkout}")
        return found

    def run(self, *words: str, sets: Iterable[str] = (), good: tuple[int, ...] = (0,)) -> str:
        """What `edgeseg` with these words prints on stdout.

        Args:
            sets: settings, each given as --set.
            good: exit codes that are no fault.
        """
        command = [sys.executable, "-m", "edgeseg.cli.app", *words]
        command += [part for text in sets for part in ("--set", text)]
        where = self.site if self.site.is_dir() else self.work
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=where, env=self.environment, capture_output=True, text=True
        )
        print(f"{time.monotonic() - began:6.1f} s  edgeseg {' '.join(words)}", flush=True)
        if done.returncode not in good:
            raise SystemExit(
                f"edgeseg {' '.join(words)} ended with {done.returncode}:\n{done.stderr}"
            )
        return done.stdout

    def keep(self, name: str, value: Json, dropped: Iterable[str] = ()) -> None:
        """Note one JSON value."""
        self.entries[name] = self._plain(value, DROPPED | set(dropped))

    def keep_lines(self, name: str, text: str, dropped: Iterable[str] = ()) -> None:
        """Note JSON values, one a line."""
        self.keep(name, [json.loads(line) for line in text.splitlines()], dropped)

    def keep_folder(self, name: str, folder: Path, dropped: Iterable[str] = ()) -> None:
        """Note every file below `folder`."""
        pictures: dict[str, dict[str, str]] = {}
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if any(fnmatch(path.name, pattern) for pattern in SKIPPED):
                continue
            entry = f"{name}/{renamed(path.relative_to(folder).as_posix())}"
            if path.suffix in (".png", ".jpg"):
                group = f"{entry.rpartition('/')[0]}/*{path.suffix}"
                pictures.setdefault(group, {})[path.name] = sha(path.read_bytes())
            elif path.suffix in (".json", ".jsonl"):
                lines = path.read_text().splitlines() if path.suffix == ".jsonl" else []
                self.keep(
                    entry, [json.loads(x) for x in lines] or json.loads(path.read_bytes()), dropped
                )
            elif path.suffix == ".toml":
                self.keep(entry, tomllib.loads(path.read_text()))
            else:
                self.entries[entry] = digest(path)
                if path.suffix == ".onnx":
                    self.entries[f"{entry} (numbers)"] = arrays(initializers(path))
        for group, found in pictures.items():
            self.entries[group] = {
                "pictures": len(found),
                "sha256": sha(json.dumps(found).encode()),
            }

    def _plain(self, value: Json, dropped: set[str]) -> Json:
        if isinstance(value, dict):
            return {
                self._plain(key, dropped): self._plain(each, dropped)
                for key, each in value.items()
                if key not in dropped
            }
        if isinstance(value, list):
            return [self._plain(each, dropped) for each in value]
        if isinstance(value, str):
            return renamed(
                value.replace(str(self.work), "WORK").replace(f"{platform.node()}:", "HOST:")
            )
        return value


def renamed(text: str) -> str:
    """A text without the digests that depend on the time."""
    for pattern, kept in NAMES:
        text = pattern.sub(kept, text)
    return text


def sha(data: bytes) -> str:
    """The SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def arrays(named: Mapping[str, NDArray[Any]]) -> str:  # Any: of every type
    """One digest of arrays by name, type, shape and bytes."""
    summed = hashlib.sha256()
    for name in sorted(named):
        value = named[name]
        summed.update(f"{name} {value.dtype} {value.shape}\n".encode())
        summed.update(np.ascontiguousarray(value).tobytes())
    return summed.hexdigest()


def initializers(path: Path) -> dict[str, NDArray[Any]]:  # Any: of every type
    """The numbers of a graph by name."""
    return {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}


def digest(path: Path) -> str:
    """The digest of a file: of what it holds where its kind is known, else of its bytes."""
    if path.suffix == ".safetensors":
        return arrays({name: tensor.numpy() for name, tensor in load_file(path).items()})
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as stored:
            return arrays(dict(stored))
    return sha(path.read_bytes())


def make_site(job: Job) -> None:
    """Init and add."""
    job.run("init", "site", "--classes", ",".join(COLORS))
    job.keep("init/edgeseg.toml", tomllib.loads((job.site / "edgeseg.toml").read_text()))
    job.run("add", "labels", "../images", "../masks", "--camera", "river")
    job.run("add", "footage", "../footage", "--camera", "river")
    job.keep_lines("add/frames.jsonl", (job.site / "frames.jsonl").read_text())
    job.keep_folder("add/frames", job.site / "frames")
    job.keep_folder("add/masks", job.site / "masks")
    job.keep("status", json.loads(job.run("status", "--json")))


def train(job: Job) -> None:
    """Every method, then the edge model from the first of them."""
    for number, method in enumerate(METHODS, 1):
        sets = (*job.settings, *OWN_SETTINGS.get(method, ()))
        said = job.run("train", "--method", method, "--json", sets=sets)
        job.keep(f"train {method}/printed", json.loads(said))
        job.keep_folder(f"train {method}", job.site / "runs" / "train" / f"exp{number}")
    said = job.run("distill", "runs/train/exp1", "--json", sets=job.settings)
    job.keep("distill/printed", json.loads(said))
    job.keep_folder("distill", job.site / "runs" / "distill" / "exp1")


def export(job: Job) -> None:
    """The bundle with all its files, and one for which some rungs of the ladder were tried."""
    said = job.run("export", "--int8", "--half", "--json", sets=job.settings)
    job.keep("export/printed", json.loads(said))
    job.keep_folder("export", (job.site / "bundles" / "current").resolve())
    strict = (*job.settings, "export.max_drop=0", "export.max_class_drop=0")
    words = ("export", "--int8", "--json", "--output", "../strict")
    job.keep("export strict/printed", json.loads(job.run(*words, sets=strict, good=(0, 1))))
    job.keep_folder("export strict", job.work / "strict")


def infer(job: Job) -> None:
    """Predictions, overlays, masks and records of pictures, and figures on val."""
    for precision in ("fp32", "int8"):
        out = f"infer-{precision}"
        beside = (
            "--save",
            f"../{out}/overlay",
            "--masks",
            f"../{out}/masks",
            "--log",
            f"../{out}/log",
        )
        words = ("infer", "--source", "../pictures", "--precision", precision, "--json", *beside)
        job.keep_lines(f"infer {precision}/printed", job.run(*words, sets=job.settings), {"time"})
        for folder in ("overlay", "masks"):
            job.keep_folder(f"infer {precision}/{folder}", job.work / out / folder)
        job.keep_lines(
            f"infer {precision}/log", job.run("log", "ls", f"../{out}/log", "--json"), LOG_DROPPED
        )
        said = job.run("eval", "--precision", precision, "--json", sets=job.settings)
        job.keep(f"eval {precision}", json.loads(said))
    job.keep(
        "eval run", json.loads(job.run("eval", "runs/train/exp2", "--json", sets=job.settings))
    )


def adapt(job: Job) -> None:
    """A round from new records to a verdict."""
    words = ("infer", "--source", "../later", "--camera", "device", "--log", "../device")
    job.run(*words, sets=job.settings)
    said = job.run("adapt", "../device", "--json", sets=job.settings)
    job.keep("adapt/printed", json.loads(said))
    job.keep_folder("adapt", job.site / "rounds", LOG_DROPPED)
    job.keep_lines("adapt/frames.jsonl", (job.site / "frames.jsonl").read_text(), {"time"})


def qat(job: Job) -> None:
    """All rungs of the ladder: where the float file labels val, every INT8 file is worse."""
    job.run("add", "labels", "../images", "../masks", "--split", "train")
    job.run("add", "labels", "../pictures", "../infer-fp32/masks", "--split", "val")
    strict = (*job.settings, "export.max_drop=0", "export.max_class_drop=0")
    words = ("export", "runs/distill/exp1", "--int8", "--qat", "--json", "--output", "../trained")
    said = json.loads(job.run(*words, sets=strict, good=(1,)))
    rungs = said["figures"]["int8-cpu"]["ladder"] + said["figures"]["int8-trt"]["ladder"]
    if sum("trained" in rung["rung"] for rung in rungs) != 2:
        raise SystemExit("the codes were not trained, so this part shows nothing")
    job.keep("qat/printed", said)
    job.keep_folder("qat", job.work / "trained")


def machine() -> dict[str, str]:
    """What else decides about the numbers."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": found[1] if found else platform.processor(),
        "python": platform.python_version(),
    } | {name: version(name) for name in PACKAGES}


PARTS: tuple[Callable[[Job], None], ...] = (make_site, train, export, infer, adapt, qat)


def record(checkout: Path, out: Path, weights: Path | None, work: Path) -> None:
    """Do the whole job in `work`, or what of it is not in `out` yet, and write what was found."""
    before = json.loads(out.read_bytes()) if out.exists() else {"parts": [], "entries": {}}
    if not before["parts"]:
        draw(work)
    chosen = ('train.encoder="mobilenetv2_050"', 'train.weights="none"')
    if weights is not None:
        chosen = ('train.encoder="mobilenetv2_100"', 'train.weights="../encoder.safetensors"')
        if not before["parts"]:
            (work / "encoder.safetensors").symlink_to(weights.resolve())
    job = Job(checkout.resolve(), work.resolve(), (*SETTINGS, *chosen), before["entries"])
    about = machine() | {"edgeseg": job.check()}
    about["weights"] = sha(weights.read_bytes()) if weights else "none"
    done: list[str] = before["parts"]
    out.parent.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        if part.__name__ not in done:
            part(job)
            done.append(part.__name__)
            found = {"about": about, "parts": done, "entries": job.entries}
            out.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    print(f"{len(job.entries)} entries in {out}")


def differences(one: Json, other: Json, where: str = "") -> Iterator[str]:
    """A line for each value in which two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            yield from differences(one.get(key), other.get(key), f"{where}.{key}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list):
        for place, (mine, theirs) in enumerate(zip_longest(one, other)):
            yield from differences(mine, theirs, f"{where}[{place}]")
    elif one != other:
        yield f"{where + ': ' if where else ''}{one} | {other}"


def compare(one: Path, other: Path) -> int:
    """Print each entry as same or different; 1 if any differs."""
    first, second = (json.loads(path.read_bytes()) for path in (one, other))
    for line in differences(first["about"], second["about"]):
        print(f"note: not the same {line}")
    before, after = first["entries"], second["entries"]
    worse = 0
    for name in sorted(before.keys() | after.keys()):
        found = list(differences(before.get(name), after.get(name)))
        worse += bool(found)
        print(f"{'DIFFERENT' if found else 'same':<10} {name}")
        for line in found[:5]:
            print(f"{'':<10}   {line}")
        if len(found) > 5:
            print(f"{'':<10}   and {len(found) - 5} more")
    print(f"{len(before.keys() | after.keys()) - worse} entries are the same, {worse} differ")
    return int(worse > 0)


def main() -> None:
    """Record or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkout", type=Path, help="the folder that holds the package edgeseg")
    parser.add_argument("--out", type=Path, help="the JSON file that is written")
    parser.add_argument(
        "--weights", type=Path, help="encoder weights of mobilenetv2_100; none without"
    )
    parser.add_argument(
        "--work", type=Path, help="a new folder that is kept; a temporary one without"
    )
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("ONE", "OTHER"))
    given = parser.parse_args()
    if given.compare:
        sys.exit(compare(*given.compare))
    if not given.checkout or not given.out:
        parser.error("give --checkout and --out, or --compare")
    if given.work:
        given.work.mkdir(parents=True, exist_ok=True)
        record(given.checkout, given.out, given.weights, given.work)
        return
    if given.out.exists():
        parser.error(f"{given.out} exists; remove it, or give the --work that it was made in")
    with tempfile.TemporaryDirectory(prefix="same-results-") as folder:
        record(given.checkout, given.out, given.weights, Path(folder))


if __name__ == "__main__":
    main()
