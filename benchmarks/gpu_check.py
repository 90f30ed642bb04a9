"""What only a GPU can show, in one script of less than 12 minutes: steps of every method against
the CPU, speed and memory of training, exact resumption, data-parallel training, evaluation, and
engines of TensorRT for RTX.

    python benchmarks/gpu_check.py [--minutes 11] [--output FILE] [PART ...]

The parts come in the order of their worth. Each measurement is a row that is printed and kept as
soon as it is known; one that fails, crashes or hangs is a row that says why, and the others go on.
Whatever stops the script (Ctrl-C, SIGTERM, `--minutes`), what was measured stays: the file holds
the JSON line of all rows so far at any moment. `--rehearse` does the same with small sizes, the CPU
standing for the GPU: it shows that the script works, and its figures mean nothing. Exit code 1 if a
row failed, 130 if it was stopped.

A machine with a GPU, Python and torch that reaches no registry gets the rest as wheels, in loads of
50 MB at most that may travel one at a time:

    # 1. here: what the other machine needs besides its torch and the packages that it has, which a
    #    text names (its `pip list`, say); without --has everything is packed
    python benchmarks/gpu_check.py --pack .wheels --python 3.12 --torch 2.11.0 --has PACKAGES.txt
    # 2. there, with all of .wheels/load-*: beside torch, which stays as it is
    python benchmarks/gpu_check.py --install .wheels --into .gpu
    # 3. there
    PYTHONPATH=.gpu python benchmarks/gpu_check.py

Where a machine is lent for single commands, the working tree and 64 MiB at most going along with
each, as in this project's sessions (tool `run`), that is:

    # here, once; without the extra tensorrt-rtx one load is enough, and its part is skipped
    echo /.wheels/ >> .git/info/exclude; echo /.gpu/ >> .git/info/exclude
    python benchmarks/gpu_check.py --pack .wheels --has PACKAGES.txt --extras train export device
    # carry .wheels/load-1, timeout_s 600; what other loads there are goes first, each with a call
    # of its own whose command is `true`, and stays there
    python3 benchmarks/gpu_check.py --install .wheels --into .gpu &&
        PYTHONPATH=.gpu python3 benchmarks/gpu_check.py --minutes 8

With `$OUT` set the JSON line goes to `$OUT/gpu_check.json`. Packages of the machine that are too
old for edgeseg are packed if the text does not name them.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.gpu import wheels  # imports nothing that has to be installed


def main() -> None:
    """Run the benchmark."""
    options = _parse()
    if options.pack is not None:
        has = options.has.read_text() if options.has else ""
        wheels.pack(
            options.pack, options.extras, python=options.python, torch=options.torch, has=has
        )
    elif options.install is not None:
        wheels.install(options.install, options.into)
    else:
        sys.exit(check(options))


def check(options: argparse.Namespace) -> int:
    """Measure the parts one after the other; returns the exit code."""
    # Asked by CUDA itself, this process would start it, and its children could not any more.
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    # Tiny tensors on many threads wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1" if options.rehearse else "4")
    began = time.monotonic()
    from benchmarks.gpu.findings import Report
    from benchmarks.gpu.isolation import Stopped, StopSignals, run_part
    from benchmarks.gpu.parts import PARTS
    from benchmarks.gpu.settings import Settings

    output = options.output
    if output is None and "OUT" in os.environ:
        output = Path(os.environ["OUT"]) / "gpu_check.json"
    signals = StopSignals()
    signals.listen()
    report = Report(output, {"benchmark": "gpu_check", "rehearsal": options.rehearse})
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        settings = Settings(options.rehearse, Path(folder))
        try:
            for part in PARTS:
                if options.parts and part.name not in options.parts:
                    continue
                for row in run_part(part, settings, began + 60 * options.minutes, signals):
                    report.add(row)
                if part.name == "machine" and report.has_failures():
                    break  # without a GPU nothing else can pass
        except Stopped as stopped:
            report.stop(str(stopped))
        return report.finish()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help="only these; all if left out")
    parser.add_argument("--rehearse", action="store_true", help="small, and on the CPU")
    parser.add_argument("--minutes", type=float, default=11, help="after which nothing begins")
    parser.add_argument("--output", type=Path, help="file of the JSON line")
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="fetch wheels into FOLDER")
    parser.add_argument("--python", default="3.12", help="with --pack: of the other machine")
    parser.add_argument("--torch", default="2.11.0", help="with --pack: of the other machine")
    parser.add_argument(
        "--extras",
        nargs="+",
        default=["train", "export", "device", "tensorrt-rtx"],
        help="with --pack: of edgeseg",
    )
    parser.add_argument("--has", type=Path, help="with --pack: text that names its packages")
    parser.add_argument("--install", type=Path, metavar="FOLDER", help="install FOLDER's wheels")
    parser.add_argument("--into", type=Path, default=Path(".gpu-env"), help="with --install")
    return parser.parse_args()


if __name__ == "__main__":
    main()
