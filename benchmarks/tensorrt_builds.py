"""What NVIDIA's own parser and builder make of every student, without a GPU.

    python benchmarks/tensorrt_builds.py builds.jsonl
    python benchmarks/tensorrt_builds.py builds.jsonl --only linknet/mobilenetv2_100
    python benchmarks/tensorrt_builds.py builds.jsonl --table

Every student of `edgeseg bench --students` and others of its kinds, with random weights, as FP32,
FP16 and INT8-TensorRT file: landscape, portrait, and sides that are odd multiples; one frame and
four at once. Each file is parsed, and built for compute capability 8.6; those of the first size
with one frame for every capability that the library offers. INT8 files are also asked the quick
points of our own checklist. NVIDIA's code runs in a child process with a limit, so that a crash is
a row of the table.

A bundle's files take one frame; those for four are made by the same functions, with the ranges of
the one-frame network. What was found is kept in the file as it comes, a line of JSON for each
graph; a second start skips what is there. It needs the extra `tensorrt-rtx`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto, helper

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from edgeseg.bundle.flavours import FP16, FP32, INT8_TRT, Flavour
from edgeseg.bundle.graph_metadata import (
    CALIBRATION_FRAMES_KEY,
    CALIBRATION_KEY,
    FLAVOUR_KEY,
    FLOAT_CONVOLUTIONS_KEY,
    FLOAT_TENSORS_KEY,
    SOURCE_KEY,
)
from edgeseg.config import EngineConfig
from edgeseg.errors import EdgesegError
from edgeseg.export.evaluation.library_verdicts import FileVerdict
from edgeseg.export.graph.analyzed_network import AnalyzedNetwork
from edgeseg.export.graph.fp16 import to_fp16
from edgeseg.export.graph.lowering import lower
from edgeseg.export.graph.naming import canonicalize_names
from edgeseg.export.graph.pre_post_processing import Interface, wrap_network
from edgeseg.export.graph.torch_export import export_network
from edgeseg.export.onnxruntime_cpu.kernel_report import float_convolutions, integer_convolutions
from edgeseg.export.onnxruntime_cpu.normalization_folding import fold_std
from edgeseg.export.quantization.activation_statistics import channel_peaks
from edgeseg.export.quantization.channel_equalization import equalize_channels
from edgeseg.export.quantization.quantizer import CalibrationResult, calibrate, quantize
from edgeseg.export.tensorrt.checklist import run_static_checks
from edgeseg.export.tensorrt.library_check import AskedFiles, ask_libraries
from edgeseg.models import Network, build_network
from edgeseg.models.student_networks import STUDENTS, Student
from edgeseg.models.vit import Size
from edgeseg.students.speed import benchmark_images, fit_batch_norms

Row = dict[str, Any]  # Any: what JSON holds
Peaks = dict[str, NDArray[np.float32]]
Layout = list[tuple[str, ...]]
FURTHER = tuple(
    Student(*name.split("/"))
    for name in (
        *("linknet/mobilenetv2_100", "deeplabv3plus/resnet18", "deeplabv3plus/efficientnet_lite0"),
        *("dpt/vit_small_patch14_dinov2", "dpt/vit_tiny_patch16_224", "segformer/mobilenetv2_100"),
        *("unetplusplus/mobilenetv2_100", "manet/mobilenetv2_100", "pspnet/mobilenetv2_100"),
        *("pan/mobilenetv2_100", "upernet/edgenext_xx_small", "deeplabv3/mobilenetv2_100"),
        *("unet/mobilenetv3_large_100", "deeplabv3plus/efficientnet_b0", "fpn/convnext_atto"),
        *("stdc/stdc1_100", "ddrnet/ddrnet_100"),
    )
)
# (height, width) in patches: landscape, portrait, odd sides of both kinds; 32 pixels where the
# encoder has no patches
SIZES = ((4, 6), (6, 4), (3, 5), (5, 3))
PATCH_SIZES = ((8, 12), (12, 8), (7, 9), (9, 7))
BATCHES = (1, 4)
CLASSES = 11
LIMIT, MEMORY_MB = 600, 8000  # of NVIDIA's code: seconds for one build, and its memory


class Graph(NamedTuple):
    """One file of a network."""

    batch: int
    flavour: Flavour


GRAPHS = [Graph(batch, flavour) for batch in BATCHES for flavour in (FP32, FP16, INT8_TRT)]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="where rows are kept")
    parser.add_argument("--only", help="ARCH/ENCODER with commas between")
    parser.add_argument("--table", action="store_true", help="show what is there, and end")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else []
    students = [Student(*name.split("/")) for name in names] or [*STUDENTS, *FURTHER]
    rows = read_rows(options.out)
    todo = [case for case in cases(students) if row_key(*case, GRAPHS[-1]) not in rows]
    exporter = StudentExporter(students[0])
    for number, (student, size) in enumerate([] if options.table else todo, 1):
        began = time.monotonic()
        if exporter.student != student:
            exporter = StudentExporter(student)
        what = f"[{number}/{len(todo)}] {'/'.join(student)} {size[0]}x{size[1]}"
        try:
            files = exporter.write_files(size)
        except EdgesegError as error:
            print(f"{what}: not a size of this network: {error}", file=sys.stderr)
            continue
        found = examine(student, size, files)
        with options.out.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in found)
        rows |= {row["key"]: row for row in found}
        faults = [f"{row['key']}: {fault}" for row in found for fault in faults_of(row)]
        seconds = f"{time.monotonic() - began:.0f} s"
        print(f"{what}, {seconds}: {'; '.join(faults) or 'no fault'}", file=sys.stderr)
    print("\n".join(table(rows)))


def cases(students: list[Student]) -> Iterator[tuple[Student, Size]]:
    """Yield all networks."""
    yield from ((student, size) for student in students for size in sizes_of(student))


def sizes_of(student: Student) -> list[Size]:
    """Return the heights and widths that a student is tried at."""
    patch = re.search(r"patch(\d+)", student.encoder)
    sizes, unit = (PATCH_SIZES, int(patch[1])) if patch else (SIZES, 32)
    return [(height * unit, width * unit) for height, width in sizes]


def row_key(student: Student, size: Size, graph: Graph) -> str:
    """Return what a row is found by."""
    return f"{'/'.join(student)} {size[0]}x{size[1]} {graph.batch} {graph.flavour}"


def read_rows(path: Path) -> dict[str, Row]:
    """Return the rows that are kept; a line that a kill cut short is left out."""
    rows: dict[str, Row] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[row["key"]] = row
    return rows


def examine(student: Student, size: Size, files: dict[Graph, bytes]) -> list[Row]:
    """Return a row for each file of a network."""
    found = []
    for batch in BATCHES:
        of_batch = {graph.flavour: data for graph, data in files.items() if graph.batch == batch}
        every = size == sizes_of(student)[0] and batch == 1
        asked = AskedFiles(of_batch, EngineConfig(), every, LIMIT, MEMORY_MB)
        answers = ask_libraries(asked)
        for flavour, data in of_batch.items():
            verdicts = [
                verdict
                for verdict in answers.verdicts.get(flavour, ())
                if verdict.library == "tensorrt-rtx"
            ]
            if not verdicts:
                sys.exit("; ".join(answers.remarks))
            row = {"student": "/".join(student), "size": size, "batch": batch, "flavour": flavour}
            row |= {"key": row_key(student, size, Graph(batch, flavour)), **row_of(verdicts[0])}
            if flavour == INT8_TRT:
                model = ModelProto.FromString(data)
                points = run_static_checks(data, of_batch[FP32])
                row["checklist"] = {
                    point.number: point.findings for point in points if point.findings
                }
                row["float"] = float_convolutions(model)
                row["integer"] = integer_convolutions(model)
            found.append(row)
    return found


def row_of(verdict: FileVerdict) -> Row:
    """Return what NVIDIA's code said of a file."""
    row: Row = {"library": verdict.version, "layers": verdict.layers}
    row["faults"] = [str(error) for error in verdict.errors]
    if not verdict.parsed and not row["faults"]:
        row["faults"] = [verdict.unfinished or "not read"]
    elif verdict.unfinished:
        row["faults"].append(verdict.unfinished)
    row["built"] = {
        build.compute: {
            "seconds": build.seconds,
            "mb": round(build.bytes / 1e6, 2) if build.bytes else None,
            "error": build.error,
        }
        for build in verdict.builds
    }
    return row | {"warnings": list(verdict.warnings)}


class StudentExporter:
    """Exports one student with random weights, calibrated once for all sizes of the same graph.

    Attributes:
        student: The student.
    """

    def __init__(self, student: Student) -> None:
        self.student = student
        self._prepared: tuple[Network, CalibrationResult, Peaks] | None = None
        self._layout: Layout = []  # of the graph that was calibrated

    def write_files(self, size: Size) -> dict[Graph, bytes]:
        """Return all files for a size."""
        if self._prepared is None or not self._fits(self._prepared[0], size):
            self._prepared = self._prepare(size)
        network, calibrated, peaks = self._prepared
        files = {}
        for batch in BATCHES:
            model, interface = _export(network, size, batch)
            if _layout(model) != self._layout:
                sys.exit(f"{'/'.join(self.student)} is another graph for {batch} frames")
            equalized = equalize_channels(AnalyzedNetwork(model), peaks)
            placed = CalibrationResult(equalized, calibrated.histograms, calibrated.layers)
            for flavour, data in _flavours(model, interface, placed).items():
                files[Graph(batch, flavour)] = data
        return files

    def _fits(self, network: Network, size: Size) -> bool:
        """Return whether the network and its ranges serve another size."""
        if "patch" in self.student.encoder:  # built for one size alone
            return False
        return _layout(_export(network, size, 1)[0]) == self._layout

    def _prepare(self, size: Size) -> tuple[Network, CalibrationResult, Peaks]:
        torch.manual_seed(0)
        network = build_network(*self.student, CLASSES, size=size)
        images = benchmark_images(None, size)
        fit_batch_norms(network, images)
        network = network.eval().reparameterized()
        model, interface = _export(network, size, 1)
        self._layout = _layout(model)
        peaks = channel_peaks(AnalyzedNetwork(model), interface, images, threads=1)
        return network, calibrate(model, interface, images, threads=1), peaks


def _layout(model: ModelProto) -> Layout:
    """Return what ranges are found by: the tensors of a graph, and the operators that give them."""
    return [(node.op_type, *node.output) for node in model.graph.node]


def _export(network: Network, size: Size, batch: int) -> tuple[ModelProto, Interface]:
    mean, std = network.normalization
    interface = Interface(
        height=size[0], width=size[1], classes=CLASSES, mean=mean, std=std, batch=batch
    )
    return fold_std(canonicalize_names(lower(export_network(network, *size, batch))), interface)


def _flavours(
    model: ModelProto, interface: Interface, calibrated: CalibrationResult
) -> dict[Flavour, bytes]:
    fp32, int8 = wrap_network(model, interface), quantize(calibrated, interface, INT8_TRT)
    helper.set_model_props(fp32, {FLAVOUR_KEY: FP32})
    data: bytes = fp32.SerializeToString()
    metadata = {
        FLAVOUR_KEY: INT8_TRT,
        SOURCE_KEY: hashlib.sha256(data).hexdigest(),
        CALIBRATION_KEY: "mse",
        CALIBRATION_FRAMES_KEY: "4",
        FLOAT_TENSORS_KEY: "[]",
        FLOAT_CONVOLUTIONS_KEY: json.dumps(float_convolutions(int8)),
    }
    helper.set_model_props(int8, metadata)
    half = to_fp16(model, interface)
    return {FP32: data, FP16: half.SerializeToString(), INT8_TRT: int8.SerializeToString()}


def faults_of(row: Row) -> list[str]:
    """Return what a file failed at."""
    found = list(row["faults"])
    found += [f"{at}: {made['error']}" for at, made in row["built"].items() if not made["mb"]]
    return found + [
        f"our point {number}: {'; '.join(findings)}"
        for number, findings in row.get("checklist", {}).items()
    ]


def table(rows: dict[str, Row]) -> Iterator[str]:
    """Yield the table in Markdown, a line for each student, and what failed or was warned of."""
    yield "| student | sizes | FP32 | FP16 | INT8 | seconds of a build | MB | float convolutions |"
    yield "|---|---|---|---|---|---|---|---|"
    students = dict.fromkeys(row["student"] for row in rows.values())
    for student in students:
        own = [row for row in rows.values() if row["student"] == student]
        sizes = dict.fromkeys(f"{row['size'][1]}x{row['size'][0]}" for row in own)
        cells = []
        for flavour in (FP32, FP16, INT8_TRT):
            of_flavour = [row for row in own if row["flavour"] == flavour]
            good = sum(not faults_of(row) for row in of_flavour)
            cells.append(f"{good} of {len(of_flavour)}")
        builds = [made for row in own for made in row["built"].values() if made["mb"]]
        seconds = [made["seconds"] for made in builds]
        megabytes = [made["mb"] for made in builds]
        int8 = next(row for row in own if row["flavour"] == INT8_TRT)
        floats = f"{len(int8['float'])} of {len(int8['float']) + int8['integer']}"
        yield (
            f"| {student} | {', '.join(sizes)} | {' | '.join(cells)} "
            f"| {min(seconds):.1f} to {max(seconds):.1f} "
            f"| {min(megabytes):.0f} to {max(megabytes):.0f} | {floats} |"
        )
    builds = [made for row in rows.values() for made in row["built"].values()]
    libraries = ", ".join(sorted({row["library"] for row in rows.values()}))
    every = ", ".join(dict.fromkeys(at for row in rows.values() for at in row["built"]))
    yield ""
    yield f"{len(rows)} files, {len(builds)} builds; TensorRT for RTX {libraries}; {every}"
    for row in rows.values():
        yield from (f"- {row['key']}: {fault}" for fault in faults_of(row))
        yield from (f"- {row['key']}: warning: {text}" for text in row["warnings"])


if __name__ == "__main__":
    main()
