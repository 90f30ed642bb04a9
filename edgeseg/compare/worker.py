"""One run of a comparison in a process of its own: what happens in it, and what it tells its
parent.
"""

from __future__ import annotations

import io
import os
import resource
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np

from edgeseg.atomic_files import write_atomic, write_json
from edgeseg.compare.results import COUNTS_FILE, MEMORY_FILE, read_memory
from edgeseg.config import TrainConfig
from edgeseg.disk.faults import describe_disk_fault, is_disk_fault
from edgeseg.errors import EdgesegError
from edgeseg.site import Site

LOG_FILE = "log.txt"  # whatever a run prints


@dataclass(frozen=True)
class TrainingJob:
    """One run to do.

    Attributes:
        root: The folder of the site.
        config: Its settings.
        out: Its run folder.
        threads: CPU threads for torch, 0 for its own choice.
        gpu: The one GPU that the run may see, as `CUDA_VISIBLE_DEVICES` names it; empty leaves that
            variable alone.
        variant: The name of the method with the settings of its own, if it has some.
    """

    root: Path
    config: TrainConfig
    out: Path
    threads: int
    gpu: str = ""
    variant: str = ""

    @property
    def method(self) -> str:
        """The method with the settings of its own, as the table has it."""
        return self.variant or self.config.method

    @property
    def name(self) -> str:
        """The name of the run for people."""
        return f"{self.method} seed {self.config.seed}"


class PipeReporter:
    """A progress reporter that sends everything to the parent, which draws it; it also notes the
    memory whenever a piece of work is over.
    """

    def __init__(self, pipe: Connection, out: Path) -> None:
        self._pipe, self._out = pipe, out

    def start(self, title: str, total: int | None) -> None:
        self._pipe.send(("start", title, total))

    def advance(self, amount: int = 1, note: str = "") -> None:
        self._pipe.send(("advance", amount, note))

    def say(self, message: str) -> None:
        self._pipe.send(("say", message))

    def stop(self) -> None:
        record_peak_memory(self._out)


def run_job(job: TrainingJob, pipe: Connection) -> None:
    """Train `job`; the entry point of the process.

    Sends `("failed", reason)` where it can still say why.
    """
    end_with_parent()
    job.out.mkdir(parents=True, exist_ok=True)
    with (job.out / LOG_FILE).open("ab") as log:
        os.dup2(log.fileno(), 1)  # libraries print too, and the parent draws on this screen
        os.dup2(log.fileno(), 2)
    set_environment(job)
    try:
        _train_and_count(job, pipe)
    except EdgesegError as error:
        pipe.send(("failed", str(error)))
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  # a bug costs this run only, its traceback is logged
        traceback.print_exc()
        pipe.send(("failed", _reason(error, job.out)))
        sys.exit(1)


def _reason(error: Exception, out: Path) -> str:
    """Return why a run failed: what a person can mend, or a fault of edgeseg."""
    if isinstance(error, OSError) and is_disk_fault(error):
        return describe_disk_fault(error, out)
    what = str(error).splitlines()[0] if str(error) else "no message"
    return f"{type(error).__name__}: {what}; the traceback is in {out / LOG_FILE}"


def set_environment(job: TrainingJob) -> None:
    """Set what torch reads from the environment when it is loaded."""
    if job.threads:
        os.environ["OMP_NUM_THREADS"] = str(job.threads)
    if job.gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = job.gpu


def record_peak_memory(out: Path) -> None:
    """Write the highest memory of this process beside the run, unless one that was cut off had
    more.
    """
    torch = sys.modules.get("torch")  # the measurement must not be what loads it
    on_gpu = torch is not None and bool(torch.cuda.is_initialized())
    if torch is not None and on_gpu:
        peak = int(torch.cuda.max_memory_allocated())
    else:
        peak = _peak_process_memory()
    if peak > read_memory(out).get("bytes", 0):
        write_json(out / MEMORY_FILE, {"bytes": peak, "on_gpu": on_gpu})


def _train_and_count(job: TrainingJob, pipe: Connection) -> None:
    """Train, then count every val frame by itself, for the intervals over frames."""
    import torch  # only now that the number of threads is set

    from edgeseg.models.model_files import load_model  # noqa: PLC0415
    from edgeseg.training.model_evaluation import evaluate_frames  # noqa: PLC0415  # the same
    from edgeseg.training.train import train  # noqa: PLC0415

    if job.threads:
        torch.set_num_threads(job.threads)
    site = Site.open(job.root)
    train(site, job.config, job.out, resume=True, report=PipeReporter(pipe, job.out))
    pipe.send(("advance", 0, "counting"))
    device = "cuda" if read_memory(job.out).get("on_gpu") else "cpu"
    counts = evaluate_frames(load_model(job.out, "last"), site, site.frames("val"), device=device)
    buffer = io.BytesIO()
    np.save(buffer, counts)
    write_atomic(job.out / COUNTS_FILE, buffer.getvalue())


def end_with_parent() -> None:
    """End this process when its parent is killed, so that its runs are free to be resumed."""
    parent = parent_process()
    assert parent is not None, "run_job() runs in a child process"
    sentinel = parent.sentinel

    def watch() -> None:
        wait([sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _peak_process_memory() -> int:
    """Return the most bytes of memory that this process has held."""
    # getrusage also counts the parent, as it was when it started this process: Linux knows better.
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
