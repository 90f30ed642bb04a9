"""Training: one loop for every method, and the site model trained with it.

The loop is deterministic in its seed and its step: batches are a function of both, and the random generator is seeded
anew at every step, so a run that was killed and resumed ends with the very same weights (on a CPU, bit for bit).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from edgeseg.config import LoopConfig, TrainConfig
from edgeseg.data.augment import weak
from edgeseg.data.dataset import FrameStore, Loader, RawBatch
from edgeseg.durable import lock
from edgeseg.errors import TrainError
from edgeseg.methods import METHODS, REP_METHODS, Batch, Method
from edgeseg.models import Network, build
from edgeseg.models.checkpoint import ModelCard, load_weights, read_card, save_card, save_weights
from edgeseg.progress import Report, Silent
from edgeseg.runfolder import Progress, Row, RunFolder, RunResult, origin
from edgeseg.site import Site
from edgeseg.validate import Validation

GRADIENT_NORM = 5.0  # gradients beyond it are scaled down; a good step has a norm of about 1
LR_WARMUP = 0.03  # share of the steps in which the learning rate rises from 0


def train(
    site: Site, config: TrainConfig, out: Path, *, resume: bool = False, init: Path | None = None,
    focus: frozenset[str] = frozenset(), report: Report | None = None,
) -> RunResult:  # fmt: skip
    """Train the site model into the run folder `out`.

    Args:
        resume: continue the run in `out` from its newest checkpoint; a finished run is returned as it is.
        init: a run whose best weights are the start.
        focus: ids of unlabelled frames that make up half of every unlabelled batch.

    Raises:
        TrainError: the run cannot start or cannot go on.
        DataError: frames are missing or damaged.
    """
    init = origin(out, {"init": init}, resume=resume)["init"]
    rep_dim = config.rep_dim if config.method in REP_METHODS else 0

    def method(pixels: Tensor) -> Method:
        classes = len(site.config.classes)
        student = build(config.arch, config.encoder, classes, "none" if init else config.weights, rep_dim, config.imgsz)
        if init:
            start_from(student, init, config)
        student.economise(freeze_encoder=config.freeze_encoder, checkpointing=config.checkpointing)
        return METHODS[config.method](student, pixels, config)

    return fit(site, config, out, method, rep_dim=rep_dim, resume=resume, focus=focus, report=report or Silent())


def start_from(student: Network, run: Path, config: LoopConfig) -> None:
    """Load the best weights of `run`; a representation head that only one of the two has is left as it is.

    Raises:
        TrainError: the run is unfinished or of another network.
    """
    card = read_card(run)
    if (card.arch, card.encoder) != (config.arch, config.encoder):
        raise TrainError(
            f"{run} holds {card.arch}/{card.encoder} but the configuration says {config.arch}/{config.encoder}; "
            "make them equal or start without it"
        )
    load_weights(student, run / "weights" / "best.safetensors", strict=False)


def fit(
    site: Site, config: LoopConfig, out: Path, make: Callable[[Tensor], Method], *, rep_dim: int = 0,
    resume: bool = False, focus: frozenset[str] = frozenset(), report: Report,
) -> RunResult:  # fmt: skip
    """Run the loop for the method that `make` builds from the labelled pixels of each class (C,)."""
    fabric, bf16 = _fabric(config)
    fabric.launch()
    with lock(out / f"rank{fabric.global_rank}" if fabric.world_size > 1 else out, TrainError):
        folder = RunFolder(out, config, resume=resume or fabric.global_rank > 0)
        done = folder.finished()
        if done is not None and resume:
            return done

        # What is trained, on what.
        labelled = FrameStore(site, site.require("labelled"), config.imgsz)
        validation = Validation(site, site.require("val"), config.imgsz)
        torch.manual_seed(config.seed)
        method = make(labelled.pixels(len(site.config.classes))).to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(_groups(method.student, config), weight_decay=config.weight_decay, foreach=True)
        load = partial(Loader, workers=config.workers, rank=fabric.global_rank, world=fabric.world_size)
        loader = load(labelled, config.batch, config.seed)
        footage = None
        if method.needs_unlabelled:
            store = FrameStore(site, site.require("unlabelled"), config.imgsz)
            footage = load(store, config.batch_unlabelled, config.seed + 1, focus=focus)
        card = ModelCard(arch=config.arch, encoder=config.encoder, rep_dim=rep_dim, classes=site.config.classes,
                         height=config.imgsz[0], width=config.imgsz[1])  # fmt: skip
        save_card(out, card)

        # Where it stood.
        progress = folder.load(method, optimizer) or Progress(0, [], -1.0, 0, 0.0, {})
        wrapped, optimizer = fabric.setup(method, optimizer)
        report.start(f"{_title(config)} {out.name}", config.steps)
        report.advance(progress.step)
        method.train()
        began = time.monotonic() - progress.seconds

        for step in range(progress.step, config.steps):
            torch.manual_seed(_seed(config.seed, step, fabric.global_rank))
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * _schedule(step / config.steps)
            ours, names = _augment(loader.batch(step), config, fabric.device)
            others, more = _augment(footage.batch(step), config, fabric.device) if footage else (None, ())
            with torch.autocast(fabric.device.type, torch.bfloat16, enabled=bf16):
                result = wrapped(ours, others, step / config.steps)
            fabric.backward(result.loss)
            norm = nn.utils.clip_grad_norm_(method.student.parameters(), GRADIENT_NORM, foreach=True)
            if not bool(torch.isfinite(norm + result.loss.detach())):  # before the optimiser and the average see it
                raise TrainError(
                    f"the loss is not finite at step {step + 1} with the frames {', '.join((*names, *more))}; "
                    "lower encoder_lr and decoder_lr or set precision to 32, then run again with --resume"
                )
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            method.after_step(step)
            progress.step = step + 1
            _add(progress.sums, result.logs)

            if progress.step % config.eval_every == 0 or progress.step == config.steps:
                row = _mean_row(progress)
                if fabric.is_global_zero:
                    row |= _evaluate(validation, method, fabric.device)
                    progress.rows.append(row)
                    if row["miou_ema"] > progress.best:
                        progress.best, progress.best_step = row["miou_ema"], progress.step
                        save_weights(out, "best", method.teacher)
                    progress.seconds = time.monotonic() - began
                    folder.write_rows(progress.rows)
                    folder.log(row)
            if progress.step % config.checkpoint_every == 0 and fabric.is_global_zero and progress.step < config.steps:
                progress.seconds = time.monotonic() - began
                folder.save(method, optimizer.optimizer, progress)
            note = f"mIoU {progress.rows[-1]['miou_ema']:.1f}" if progress.rows else ""
            report.advance(1, note)

        report.stop()
        for each in (loader, footage):
            if each is not None:
                each.close()
        fabric.barrier()
        if not fabric.is_global_zero:
            return RunResult(out, progress.best, {})
        save_weights(out, "last", method.teacher)
        metrics = validation.summary(method, progress, fabric.device, site.config.class_names)
        metrics["config"] = config.model_dump(mode="json")
        validation.picture(method.teacher, fabric.device, out / "val.png")
        return folder.finish(metrics)


def _fabric(config: LoopConfig) -> tuple[Fabric, bool]:
    if config.device == "cuda" and not torch.cuda.is_available():
        raise TrainError("device is cuda but torch sees no GPU; set device to auto or cpu, or install torch with CUDA")
    cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
    if cuda and config.devices > torch.cuda.device_count():
        raise TrainError(f"devices is {config.devices} but there are {torch.cuda.device_count()} GPUs; lower --devices")
    bf16 = config.precision == "bf16"
    if config.precision == "auto":
        bf16 = torch.cuda.is_bf16_supported() if cuda else cpu_has_bf16()
    strategy = DDPStrategy(broadcast_buffers=False, find_unused_parameters=True) if config.devices > 1 else "auto"
    # Precision stays out of Fabric's hands: it would cut the images themselves down to bfloat16.
    return Fabric(accelerator="cuda" if cuda else "cpu", devices=config.devices, strategy=strategy), bf16


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; emulated it would be slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _groups(student: Network, config: LoopConfig) -> list[dict[str, object]]:
    encoder = [parameter for parameter in student.encoder.parameters() if parameter.requires_grad]
    known = {id(parameter) for parameter in student.encoder.parameters()}
    rest = [parameter for parameter in student.parameters() if id(parameter) not in known]
    rates = ((encoder, config.encoder_lr), (rest, config.decoder_lr))
    return [{"params": params, "lr": rate, "base_lr": rate} for params, rate in rates if params]


def _schedule(progress: float) -> float:
    return min(1.0, (progress + 1e-3) / LR_WARMUP) * float((1 - progress) ** 0.9)


def _seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


def _augment(raw: RawBatch, config: LoopConfig, device: torch.device) -> tuple[Batch, tuple[str, ...]]:
    images, masks, valid = weak(raw.images.to(device), raw.masks.to(device), config.scale)
    return Batch(images, masks, valid), raw.names


def _title(config: LoopConfig) -> str:
    return f"train {config.method}" if isinstance(config, TrainConfig) else "distil"


def _add(sums: dict[str, list[float]], logs: dict[str, Tensor]) -> None:
    for name, value in logs.items():
        for key, number in [(name, value)] if value.ndim == 0 else [(f"{name}/{i}", v) for i, v in enumerate(value)]:
            total, times = sums.get(key, (0.0, 0.0))
            sums[key] = [total + float(number), times + 1]


def _mean_row(progress: Progress) -> Row:
    row = {"step": float(progress.step)} | {name: total / times for name, (total, times) in progress.sums.items()}
    progress.sums.clear()
    return row


def _evaluate(validation: Validation, method: Method, device: torch.device) -> Row:
    row = {"miou_ema": validation.miou(method.teacher, device), "miou_student": validation.miou(method.student, device)}
    method.train()
    return row
