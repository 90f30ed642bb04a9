"""Random videos and pictures through `add footage` and `infer`: no crash, and no frame lost untold.

    python benchmarks/random_inputs.py --count 2000 --out FOLDER [--seed 0] [--bundle BUNDLE]

Each number stands for one file: codec, container, rate, size, pixel format, rotation, times, damage
and name are drawn from it. Both commands run in a child process, which is started anew when it
dies. A file fails if the child dies or an exception is none of edgeseg's own sentences, or if the
frames that `infer` gives differ from what `ffprobe -count_frames` counts by more than 1 % and
nothing is said about it. Results are lines of FOLDER/results.jsonl; a run that is stopped goes on
behind the last of them. Without `ffprobe` counts are not compared.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

import edgeseg
from edgeseg.config.template import create_site
from edgeseg.data.ingest.add_footage import add_footage
from edgeseg.errors import EdgesegError
from edgeseg.runtime.inference import infer
from edgeseg.site import Site

# Codecs with pixel formats that they take, and formats of files that take them.
CODECS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "libx264": (
        ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "gray"),
        ("mp4", "mov", "matroska", "avi", "mpegts", "flv", "3gp", "h264", "frag", "nut"),
    ),
    "libx265": (("yuv420p", "yuv420p10le"), ("mp4", "mov", "matroska", "mpegts", "hevc")),
    "libsvtav1": (("yuv420p", "yuv420p10le"), ("mp4", "matroska", "webm", "ivf")),
    "mpeg4": (("yuv420p",), ("mp4", "mov", "matroska", "avi", "3gp", "nut")),
    "mjpeg": (("yuvj420p", "yuvj422p", "yuvj444p"), ("avi", "mov", "matroska", "mjpeg")),
    "mpeg2video": (("yuv420p", "yuv422p"), ("mpeg", "mpegts", "vob", "mxf")),
    "mpeg1video": (("yuv420p",), ("mpeg", "avi")),
    "libvpx": (("yuv420p",), ("webm", "matroska", "ivf")),
    "libvpx-vp9": (("yuv420p", "yuv444p"), ("webm", "mp4", "matroska", "ivf")),
    "ffv1": (
        ("yuv420p", "yuv444p10le", "gray", "gray16le", "gray10le", "bgra"),
        ("matroska", "avi"),
    ),
    "png": (("rgb24", "rgba", "gray", "gray16be"), ("mov", "avi", "matroska")),
    "huffyuv": (("yuv422p", "rgb24"), ("avi", "matroska")),
    "prores_ks": (("yuv422p10le", "yuva444p10le"), ("mov",)),
    "flv": (("yuv420p",), ("flv", "avi")),
    "wmv2": (("yuv420p",), ("asf", "avi")),
    "qtrle": (("rgb24", "argb"), ("mov",)),
    "rawvideo": (("yuv420p", "bgr24", "gray", "yuyv422"), ("avi", "nut", "matroska")),
}
SUFFIXES = {"matroska": ".mkv", "mpegts": ".ts", "mpeg": ".mpg", "asf": ".wmv", "frag": ".mp4"}
RATES = (1.0, 5.0, 12.5, 15.0, 23.976, 25.0, 29.97, 30.0, 50.0, 60.0, 66.667, 99.123, 240.0)
DAMAGES = ("overwrite", "zeros", "cut", "insert", "head", "flips", "behead", "double")
STEMS = (
    "clip",
    "12:30:45",
    "d:1",
    "%03d",
    "a b",
    "100%",
    "#1?x=2",
    "[x]",
    "Fluß 河 🎥",
    "-dash",
    "~$lock",
    "caf\udce9",
    "new\nline",
    "\x1b[31mred",
    "x" * 240,
    "\u202eelif",
    "'quote\"",
)
PICTURES = (".jpg", ".png", ".webp", ".tif", ".bmp", ".ppm")
MODES = ("RGB", "L", "RGBA", "P", "1", "CMYK", "I;16", "LA")
NAMED_LOSS = 0.01
Image = NDArray[np.uint8]


def picture(generator: np.random.Generator, width: int, height: int) -> Image:
    """A picture of blocks, (height, width, 3)."""
    blocks = generator.integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
    return np.ascontiguousarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8))[:height, :width])


def make_video(path: Path, seed: int) -> dict[str, Any]:
    """Write a random video; return what was drawn."""
    draw, generator = random.Random(seed), np.random.default_rng(seed)
    while True:
        codec = draw.choice(list(CODECS))
        pixels, formats = (draw.choice(options) for options in CODECS[codec])
        width, height = draw.choice(
            ((64, 48), (97, 65), (16, 16), (48, 64), (130, 98), (33, 70), (320, 240))
        )
        if codec not in ("ffv1", "png", "qtrle", "rawvideo", "huffyuv"):
            width, height = width // 2 * 2, height // 2 * 2
        drawn = {
            "codec": codec,
            "pixels": pixels,
            "format": formats,
            "size": [width, height],
            "fps": draw.choice(RATES),
            "frames": draw.randint(1, 60),
            "turned": draw.choice((0, 0, 0, 90, 180, 270)),
            "times": draw.choice(("even", "even", "varying", "late", "gap")),
            "sound": draw.random() < 0.2,
        }
        try:
            if codec == "libx265":
                _encode_with_program(path, drawn, generator)
            else:
                path.write_bytes(_encoded(drawn, generator, draw))
            return drawn
        except (av.FFmpegError, ValueError, OSError, subprocess.CalledProcessError):
            continue  # this container does not take it; the next draw may do


def _encoded(drawn: dict[str, Any], generator: np.random.Generator, draw: random.Random) -> bytes:
    width, height = drawn["size"]
    container_format = drawn["format"]
    file = io.BytesIO()
    options = {}
    if container_format == "frag":
        container_format, options = "mp4", {"movflags": "frag_keyframe+empty_moov"}
    rate = Fraction(drawn["fps"]).limit_denominator(1001)
    output = av.open(file, "w", format=container_format, container_options=options)
    stream: Any = output.add_stream(drawn["codec"], rate=rate)
    stream.width, stream.height, stream.pix_fmt = width, height, drawn["pixels"]
    stream.codec_context.gop_size = draw.choice((1, 12, 30))
    has_times = container_format in ("mp4", "mov", "matroska", "webm", "nut")
    ticks = 1000 if has_times and drawn["times"] != "even" else None
    if ticks:
        stream.codec_context.time_base = Fraction(1, ticks)
    if drawn["turned"] and container_format in ("mp4", "mov", "matroska"):
        stream.set_display_rotation(drawn["turned"])
    sound: Any = None
    if drawn["sound"] and container_format in ("mp4", "mov", "matroska", "mpegts"):
        sound = output.add_stream("aac" if container_format != "matroska" else "flac", rate=8000)
    moment = 3.7 if drawn["times"] == "late" else 0.0
    for number in range(drawn["frames"]):
        frame = av.VideoFrame.from_ndarray(picture(generator, width, height), format="rgb24")
        frame.pts = round(moment * ticks) if ticks else number
        frame.time_base = Fraction(1, ticks) if ticks else 1 / rate
        output.mux(stream.encode(frame))
        step = 1 / drawn["fps"]
        if drawn["times"] == "varying":
            step *= draw.uniform(0.4, 3.0)
        if drawn["times"] == "gap" and number == drawn["frames"] // 2:
            step += 40.0
        moment += max(step, 0.001)
    output.mux(stream.encode(None))
    if sound is not None:
        silence = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32 if sound.name == "aac" else np.int16),
            format="fltp" if sound.name == "aac" else "s16",
            layout="mono",
        )
        silence.sample_rate = 8000
        output.mux(sound.encode(silence))
        output.mux(sound.encode(None))
    output.close()
    return file.getvalue()


def _encode_with_program(path: Path, drawn: dict[str, Any], generator: np.random.Generator) -> None:
    """Encode HEVC with the program ffmpeg: the x265 inside PyAV 18.1 corrupts the heap at times."""
    width, height = drawn["size"]
    frames = [picture(generator, width, height).tobytes() for _ in range(drawn["frames"])]
    command = ["ffmpeg", "-v", "quiet", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", str(drawn["fps"]), "-i", "-"]
    command += ["-c:v", "libx265", "-x265-params", "log-level=none:keyint=12"]
    command += ["-pix_fmt", drawn["pixels"], "-f", drawn["format"], str(path)]
    subprocess.run(command, input=b"".join(frames), check=True, capture_output=True)


def make_picture(path: Path, seed: int) -> dict[str, Any]:
    """Write a random picture; return what was drawn."""
    draw, generator = random.Random(seed), np.random.default_rng(seed)
    while True:
        mode = draw.choice(MODES)
        size = draw.choice(((64, 48), (1, 1), (15, 11), (97, 65), (40, 300)))
        pixels = picture(generator, *size)
        image = (
            PillowImage.fromarray(generator.integers(0, 65536, size[::-1], np.uint16))
            if mode == "I;16"
            else PillowImage.fromarray(pixels).convert(mode)
        )
        tags = PillowImage.Exif()
        tags[0x0112] = draw.randint(1, 8)
        try:
            image.save(path, exif=tags) if draw.random() < 0.5 else image.save(path)
            return {"mode": mode, "size": list(size), "format": path.suffix}
        except (OSError, ValueError, KeyError):
            continue  # this format does not hold such pictures


def damage(data: bytes, kind: str, draw: random.Random) -> bytes:
    """Return the bytes of a file, damaged."""
    size, buffer = len(data), bytearray(data)
    start = draw.randrange(max(1, size))
    length = min(size - start, draw.choice((1, 100, 3000)))
    if kind == "overwrite":
        buffer[start : start + length] = draw.randbytes(length)
    elif kind == "zeros":
        buffer[start : start + length] = bytes(length)
    elif kind == "cut":
        del buffer[start:]
    elif kind == "insert":
        buffer[start:start] = draw.randbytes(length)
    elif kind == "head":
        buffer[: min(200, size)] = draw.randbytes(min(200, size))
    elif kind == "flips":
        for _ in range(20):
            buffer[draw.randrange(max(1, size))] ^= 1 << draw.randrange(8)
    elif kind == "behead":
        del buffer[: draw.randrange(max(1, size // 3))]
    elif kind == "double":
        buffer += data
    return bytes(buffer)


def make_input(folder: Path, seed: int) -> tuple[Path, dict[str, Any]]:
    """Write the file of this number into `folder`; return it and what was drawn."""
    draw = random.Random(f"input {seed}")
    stem = draw.choice(STEMS)
    if draw.random() < 0.2:
        suffix = draw.choice(PICTURES)
        made = folder / f"made{suffix}"
        drawn = make_picture(made, seed)
    else:
        made = folder / "made"
        drawn = make_video(made, seed)
        suffix = SUFFIXES.get(drawn["format"], f".{drawn['format']}")
    data = made.read_bytes()
    made.unlink()
    drawn["damage"] = draw.choice(DAMAGES) if draw.random() < 0.5 else ""
    if drawn["damage"] and data:
        data = damage(data, drawn["damage"], draw)
    path = folder / f"{stem}{suffix}"
    path.write_bytes(data)
    return path, drawn


def count_frames(path: Path) -> int | None:
    """What ffprobe counts in the first video stream; None if it cannot say."""
    if shutil.which("ffprobe") is None:
        return None
    command = ["ffprobe", "-v", "quiet", "-select_streams", "v:0", "-count_frames", "-of", "json"]
    command += ["-show_entries", "stream=nb_read_frames", f"file:{path}"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    try:
        streams = json.loads(done.stdout)["streams"]
        return int(streams[0]["nb_read_frames"])
    except (ValueError, KeyError, IndexError):
        return 0


def judge(path: Path, site: Site, bundle: Path, drawn: dict[str, Any]) -> dict[str, Any]:
    """Run both commands on one file; `fault` says what is wrong, "" if nothing is."""
    found: dict[str, Any] = {"fault": "", "said": [], "frames": 0, "kept": 0}
    try:
        added = add_footage(site, [path])
        found["kept"] = added.kept + added.duplicates + added.present
        found["said"] += [*added.unreadable, *added.partial]
    except EdgesegError as error:
        found["said"].append(str(error))
    try:
        result = infer(bundle, str(path))
        found["frames"] = result.summary.frames
        statistics = result.summary.statistics
        found["said"] += [*statistics.notes, *statistics.unreadable]
    except EdgesegError as error:
        found["said"].append(str(error))
    is_picture = "mode" in drawn
    counted = None if is_picture else count_frames(path)
    found["counted"] = counted
    if (
        counted
        and abs(found["frames"] - counted) > max(NAMED_LOSS * counted, 0)
        and (found["frames"] < counted and not found["said"])
    ):
        found["fault"] = f"{found['frames']} frames of {counted}, and not a word"
    if not found["frames"] and not found["said"]:
        found["fault"] = "nothing came, and nothing was said"
    if bool(found["frames"]) != bool(found["kept"]) and not found["said"]:
        found["fault"] = f"add took {found['kept']} frames, infer {found['frames']}"
    found["said"] = [ascii(text) for text in found["said"]]
    return found


def run_child(first: int, end: int, bundle: Path) -> None:
    """Judge the files of these numbers; print a line before and behind each."""
    os.environ["SVT_LOG"] = "0"
    os.fsync = lambda fd: None  # no power will be cut
    with tempfile.TemporaryDirectory() as folder:
        site_root = Path(folder) / "site"
        create_site(site_root, ["a", "b"])
        site = Site.open(site_root, ["data.near_duplicate=0"])
        for seed in range(first, end):
            print(json.dumps({"begun": seed}), flush=True)
            place = Path(folder) / "input"
            place.mkdir()
            path, drawn = make_input(place, seed)
            try:
                found = judge(path, site, bundle, drawn)
            except Exception:  # noqa: BLE001  # whatever it is, it is what is looked for
                found = {"fault": traceback.format_exc()}
            shutil.rmtree(place)
            print(json.dumps({"seed": seed, "drawn": drawn, **found}), flush=True)


def judge_range(first: int, end: int, bundle: Path) -> list[dict[str, Any]]:
    """Judge these numbers in one child; a child that dies leaves a fault for the one begun."""
    command = [sys.executable, __file__, "--child", str(first), str(end), "--bundle", str(bundle)]
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=3600, check=False
        )
        errors.seek(0)
        tail = errors.read()[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    results = [line for line in lines if "seed" in line]
    if done.returncode:
        begun = [line["begun"] for line in lines if "begun" in line]
        seed = begun[-1] if begun else first
        results.append({"seed": seed, "fault": f"died with {done.returncode}: {tail}"})
    return results


def default_bundle(folder: Path) -> Path:
    """The tests' tiny network, written to `folder`."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.helpers.bundles import make_bundle

    return make_bundle(folder / "tiny", int8=False).path


def main() -> None:
    """Read the command line, run what is missing, print the failures and a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="the first number")
    parser.add_argument("--out", type=Path, default=Path("random-inputs"))
    parser.add_argument("--batch", type=int, default=50, help="files for one child")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--child", type=int, nargs=2)
    arguments = parser.parse_args()
    if arguments.child:
        run_child(arguments.child[0], arguments.child[1], arguments.bundle)
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    record = arguments.out / "results.jsonl"
    bundle = arguments.bundle or arguments.out / "tiny"
    if not bundle.exists():
        bundle = default_bundle(arguments.out)
    done = [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
    seeds = {line["seed"] for line in done}
    next_seed, end = arguments.seed, arguments.seed + arguments.count
    while next_seed < end:
        if next_seed in seeds:
            next_seed += 1
            continue
        results = judge_range(next_seed, min(end, next_seed + arguments.batch), bundle)
        with record.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in results)
        done += results
        seeds |= {line["seed"] for line in results}
        next_seed = max(seeds) + 1 if results else next_seed + 1
        print(f"{len(seeds)} files, {sum(bool(line['fault']) for line in done)} faults", flush=True)
    report([line for line in done if arguments.seed <= line["seed"] < end])


def report(results: list[dict[str, Any]]) -> None:
    """Print the failures with their numbers, then the counts as one JSON line."""
    for line in results:
        if line["fault"]:
            print(f"seed {line['seed']}: {line.get('drawn')}\n{line['fault']}")
    videos = [line for line in results if "codec" in line.get("drawn", {})]
    exact = sum(line.get("frames") == line.get("counted") for line in videos)
    more = sum((line.get("frames") or 0) > (line.get("counted") or 0) for line in videos)
    figures = {
        "files": len(results),
        "videos": len(videos),
        "damaged": sum(bool(line.get("drawn", {}).get("damage")) for line in results),
        "as many frames as ffprobe": exact,
        "more than ffprobe": more,
        "faults": sum(bool(line["fault"]) for line in results),
        "codecs": dict(Counter(line["drawn"]["codec"] for line in videos)),
        "edgeseg": edgeseg.__version__,
        "av": av.__version__,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
