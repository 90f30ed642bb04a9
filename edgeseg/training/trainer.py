"""The loop that trains every method.

The loop is deterministic in its seed and its step: batches are a function of both, and the random
generator is seeded anew at every step, so a run that was killed and resumed ends with the very same
weights (on a CPU, bit for bit).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from edgeseg.atomic_files import lock_folder, write_json
from edgeseg.config import LoopConfig
from edgeseg.data.augment import weak_augment
from edgeseg.data.batch_loader import BatchLoader, RawBatch
from edgeseg.data.frame_reader import FrameReader, SiteFrameReader
from edgeseg.distributed import all_gather
from edgeseg.errors import TrainError
from edgeseg.methods import Batch, Method
from edgeseg.models import Network
from edgeseg.models.model_files import ModelCard, load_weights, read_card, save_card, save_weights
from edgeseg.progress import ProgressReporter
from edgeseg.site import Site
from edgeseg.training.memory import keep_freed_memory, measure_step, parse_bytes, plan_accumulation
from edgeseg.training.run_folder import Row, RunFolder, RunResult, TrainingState
from edgeseg.training.validation import Validation

GRADIENT_NORM = 5.0  # gradients beyond it are scaled down; a good step has a norm of about 1
LR_WARMUP = 0.03  # share of the steps in which the learning rate rises from 0


def load_initial_weights(student: Network, run: Path, config: LoopConfig) -> None:
    """Load the best weights of `run`; a representation head that only one of the two has is left as
    it is.

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


def refuse_frozen_random_encoder(config: LoopConfig, init: Path | None) -> None:
    """A frozen encoder must have learned something before.

    Raises:
        TrainError: it starts from random numbers.
    """
    if config.freeze_encoder and config.weights == "none" and init is None:
        raise TrainError(
            "freeze_encoder keeps the encoder as it is, and weights = none makes that random numbers; name a weights "
            "file, or start from a run with --init"
        )


@dataclass(frozen=True)
class StepRange:
    """The part of a run's step budget that one training has; all of it unless the method works in
    stages.

    Attributes:
        first, last: steps done before it, and when it ends.
        keep: steps after which the average's weights are kept.
        seconds: spent on the stages before it.
    """

    first: int
    last: int
    snapshots: frozenset[int] = frozenset()
    seconds: float = 0.0


def fit(
    site: Site,
    config: LoopConfig,
    out: Path,
    make: Callable[[Tensor], Method],
    *,
    rep_dim: int = 0,
    resume: bool = False,
    focus: frozenset[str] = frozenset(),
    report: ProgressReporter,
    span: StepRange | None = None,
    footage: FrameReader | None = None,
    title: str = "train",
) -> RunResult:
    """Run the loop for the method that `make` builds from the labelled pixels of each class (C,).

    Args:
        span: which steps of the run; all of them unless given.
        footage: the unlabelled frames, perhaps with pseudo-labels; all that the site has unless
            given.
        title: of the progress bar.
    """
    fabric, bf16 = _fabric(config)
    fabric.launch()
    if fabric.device.type == "cpu":
        keep_freed_memory()
    span = span or StepRange(0, config.steps)
    with lock_folder(
        out / f"rank{fabric.global_rank}" if fabric.world_size > 1 else out, TrainError
    ):
        folder = RunFolder(out, config, resume=resume, helps=fabric.global_rank > 0)
        done = folder.finished()
        if done is not None and resume:
            return done

        # What is trained, on what.
        labelled = SiteFrameReader(site, site.require("labelled"), config.imgsz, report=report)
        validation = Validation(site, site.require("val"), config.imgsz)
        torch.manual_seed(config.seed)
        method = make(labelled.class_pixels(len(site.config.classes))).to(
            memory_format=torch.channels_last
        )
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            _synchronize(method)
        optimizer = torch.optim.AdamW(
            _groups(method, config), weight_decay=config.weight_decay, foreach=True
        )
        load = partial(
            BatchLoader, workers=config.workers, rank=fabric.global_rank, world=fabric.world_size
        )
        sizes = shares(config, fabric.world_size, footage=method.needs_unlabelled)
        loaders = [load(labelled, sizes[0], config.seed)]
        if method.needs_unlabelled:
            store = footage or SiteFrameReader(
                site, site.require("unlabelled"), config.imgsz, report=report
            )
            loaders.append(load(store, sizes[1], config.seed + 1, focus=focus))
        card = ModelCard(
            arch=config.arch,
            encoder=config.encoder,
            rep_dim=rep_dim,
            classes=site.config.classes,
            height=config.imgsz[0],
            width=config.imgsz[1],
        )
        save_card(out, card)

        parts = _planned(out, method.to(fabric.device), config, sizes, bf16)

        # Where it stood.
        progress = folder.load(method, optimizer) or TrainingState(
            span.first, [], -1.0, 0, span.seconds, {}
        )
        if config.compile:
            method.student.compile()
        wrapped, optimizer = fabric.setup(method, optimizer)
        learned = [parameter for parameter in method.parameters() if parameter.requires_grad]
        report.start(f"{title} {out.name}", span.last - span.first)
        report.advance(progress.step - span.first)
        method.train()
        began = time.monotonic() - progress.seconds

        for step in range(progress.step, span.last):
            done_share = (step - span.first) / (span.last - span.first)
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * _schedule(done_share)
            torch.manual_seed(_seed(config.seed, step, fabric.global_rank))
            raw = [loader.batch(step) for loader in loaders]
            split = [_parts(_augment(batch, config, fabric.device), parts) for batch in raw]
            for part, batches in enumerate(zip(*split, strict=True), 1):
                with fabric.no_backward_sync(wrapped, enabled=part < parts):
                    with torch.autocast(fabric.device.type, torch.bfloat16, enabled=bf16):
                        result = wrapped(
                            batches[0], batches[1] if len(batches) > 1 else None, done_share
                        )
                    fabric.backward(result.loss / parts)
                _add(progress.sums, result.logs)
            norm = nn.utils.clip_grad_norm_(learned, GRADIENT_NORM, foreach=True)
            if not bool(
                torch.isfinite(norm + result.loss.detach())
            ):  # before the optimizer and the average see it
                names = ", ".join(name for batch in raw for name in batch.names)
                raise TrainError(
                    f"the loss is not finite at step {step + 1} with the frames {names}; "
                    "start a new run with a lower encoder_lr and decoder_lr, or with precision 32"
                )
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            method.after_step(step - span.first)
            progress.step = step + 1

            if fabric.is_global_zero and progress.step in span.snapshots:
                save_weights(out, f"step-{progress.step:08d}", method.teacher)
            if progress.step % config.eval_every == 0 or progress.step == span.last:
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
            if (
                progress.step % config.checkpoint_every == 0
                and fabric.is_global_zero
                and progress.step < span.last
            ):
                progress.seconds = time.monotonic() - began
                folder.save(method, optimizer.optimizer, progress)
            note = f"mIoU {progress.rows[-1]['miou_ema']:.1f}" if progress.rows else ""
            report.advance(1, note)

        report.stop()
        for loader in loaders:
            loader.close()
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
        raise TrainError(
            "device is cuda but torch sees no GPU; set device to auto or cpu, or install torch with CUDA"
        )
    cuda = config.device == "cuda" or (config.device == "auto" and torch.cuda.is_available())
    if cuda and config.devices > torch.cuda.device_count():
        raise TrainError(
            f"devices is {config.devices} but there are {torch.cuda.device_count()} GPUs; lower --devices"
        )
    bf16 = config.precision == "bf16"
    if config.precision == "auto":
        bf16 = torch.cuda.is_bf16_supported() if cuda else cpu_has_bf16()
    several = config.devices * config.nodes > 1
    strategy = (
        DDPStrategy(broadcast_buffers=False, find_unused_parameters=True) if several else "auto"
    )
    # Precision stays out of Fabric's hands: it would cut the images themselves down to bfloat16.
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=config.devices,
        num_nodes=config.nodes,
        strategy=strategy,
    )
    return fabric, bf16


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 itself; emulated it would be slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _groups(method: Method, config: LoopConfig) -> list[dict[str, object]]:
    """Encoders of all networks of the method, and the rest of what it trains, each with its own
    rate.
    """
    encoders = [module.encoder for module in method.modules() if isinstance(module, Network)]
    known = {id(parameter) for encoder in encoders for parameter in encoder.parameters()}
    learned = [parameter for parameter in method.parameters() if parameter.requires_grad]
    parts = (
        ([parameter for parameter in learned if id(parameter) in known], config.encoder_lr),
        ([parameter for parameter in learned if id(parameter) not in known], config.decoder_lr),
    )
    return [{"params": params, "lr": rate, "base_lr": rate} for params, rate in parts if params]


def _schedule(progress: float) -> float:
    return min(1.0, (progress + 1e-3) / LR_WARMUP) * float((1 - progress) ** 0.9)


def _seed(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1, np.uint64)[0] >> 1)


def shares(config: LoopConfig, world: int, *, footage: bool = True) -> tuple[int, int]:
    """Labelled and unlabelled frames of a step for each of `world` processes; the batches are those
    of all together.

    Raises:
        TrainError: they cannot be shared, or a process cannot split its share into
            `config.accumulate` parts.
    """
    parts = config.accumulate
    wanted = [
        ("batch", config.batch, 2 * parts),
        ("batch_unlabelled", config.batch_unlabelled, max(2, parts)),
    ]
    for name, batch, least in wanted[: 1 + footage]:
        if world > 1 and (batch % (world * parts) or batch < world * least):
            split = f", each in accumulate = {parts} parts" if parts > 1 else ""
            raise TrainError(
                f"{name} = {batch} cannot be shared by {world} devices{split}; make it a multiple of "
                f"{2 * world * parts}"
            )
    return config.batch // world, config.batch_unlabelled // world


def _synchronize(method: Method) -> None:
    """Let the batch norms of what is trained see the frames of all devices; torch can do that on
    GPUs only.
    """
    for name, module in list(method.named_children()):
        if any(parameter.requires_grad for parameter in module.parameters()):
            setattr(method, name, nn.SyncBatchNorm.convert_sync_batchnorm(module))  # type: ignore[no-untyped-call]


def _planned(
    out: Path, method: Method, config: LoopConfig, sizes: tuple[int, int], bf16: bool
) -> int:
    """Into how many parts a process splits its frames, `sizes` a step; a run that goes on takes
    what it began with.
    """
    if not config.max_memory:
        return config.accumulate
    stored = out / "parts.json"
    if stored.exists():
        return int(json.loads(stored.read_bytes())["parts"])
    (height, width), device = config.imgsz, method.mean.device
    labelled, unlabelled = sizes

    def batch(number: int) -> Batch:
        masks = torch.zeros(number, height, width, dtype=torch.int64, device=device)
        return Batch(
            torch.rand(number, 3, height, width, device=device),
            masks,
            torch.ones_like(masks, dtype=torch.bool),
        )

    def peak(number: int) -> int:
        others = max(1, unlabelled * number // labelled)

        def step() -> Tensor:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                loss: Tensor = method(batch(number), batch(others), 1.0).loss
            return loss

        return measure_step(step, device, method)

    found = plan_accumulation(peak, labelled, parse_bytes(config.max_memory), [unlabelled])
    parts = int(
        all_gather(torch.tensor(found.parts, device=device)).max()
    )  # as many on every device
    write_json(
        stored, {"parts": parts, "frames": labelled // parts, "max_memory": config.max_memory}
    )
    return parts


def _parts(batch: Batch, number: int) -> list[Batch]:
    """A batch in equal parts."""
    return [Batch(*part) for part in zip(*(tensor.chunk(number) for tensor in batch))]


def _augment(raw: RawBatch, config: LoopConfig, device: torch.device) -> Batch:
    return Batch(*weak_augment(raw.images.to(device), raw.masks.to(device), config.scale))


def _add(sums: dict[str, list[float]], logs: dict[str, Tensor]) -> None:
    for name, value in logs.items():
        for key, number in (
            [(name, value)]
            if value.ndim == 0
            else [(f"{name}/{i}", v) for i, v in enumerate(value)]
        ):
            total, times = sums.get(key, (0.0, 0.0))
            sums[key] = [total + float(number), times + 1]


def _mean_row(progress: TrainingState) -> Row:
    row = {"step": float(progress.step)} | {
        name: total / times for name, (total, times) in progress.sums.items()
    }
    progress.sums.clear()
    return row


def _evaluate(validation: Validation, method: Method, device: torch.device) -> Row:
    row = {
        "miou_ema": validation.miou(method.teacher, device),
        "miou_student": validation.miou(method.student, device),
    }
    method.train()
    return row
