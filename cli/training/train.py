"""`edgeseg train`: the site model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared import options
from edgeseg.cli.shared.presets import Preset, fit_machine
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.config import TrainConfig
    from edgeseg.training.run_folder import RunResult

Method = Annotated[str | None, typer.Option(help="{train.method}")]
Plugin = Annotated[list[str] | None, typer.Option(help="{train.plugins} Repeatable.")]


def train(
    method: Method = None,
    plugin: Plugin = None,
    preset: Preset = None,
    encoder: options.Encoder = None,
    imgsz: options.ImageSize = None,
    steps: options.Steps = None,
    batch: options.BatchSize = None,
    max_memory: options.MaxMemory = None,
    device: options.Device = None,
    devices: options.Devices = None,
    workers: options.Workers = None,
    weights: options.Weights = None,
    seed: options.Seed = None,
    tracker: options.Trackers = None,
    init: options.Init = None,
    resume: options.Resume = False,
    as_json: options.Json = False,
    set_: options.Set = None,
) -> None:
    """Train the site model on labelled and unlabelled frames."""
    flags = options.training_flags(
        method=method,
        plugins=plugin or None,
        encoder=encoder,
        imgsz=imgsz,
        steps=steps,
        batch=batch,
        max_memory=max_memory,
        device=device,
        devices=devices,
        workers=workers,
        weights=weights,
        seed=seed,
        trackers=tracker or None,
    )
    site, overrides = options.open_site("train", set_, flags)
    site, overrides = fit_machine(site, "train", overrides, preset, resume=resume)
    out, config = options.open_run(site, site.config.train, "train", overrides, resume=resume)
    with options.discard_if_refused(out, resume=resume):
        _check_keys(config, set_ or [])

    from edgeseg.cli.shared.console import progress_bar
    from edgeseg.training.train import train as train_model

    with progress_bar() as bar, options.discard_if_refused(out, resume=resume):
        result = train_model(site, config, out, resume=resume, init=init, report=bar)
    print_result(result, as_json=as_json, next_command="edgeseg distill")


def _check_keys(config: TrainConfig, given: list[str]) -> None:
    """Refuse overrides that do nothing in the method, and name such keys of edgeseg.toml.

    Raises:
        ConfigError: An override does nothing.
    """
    from edgeseg.cli.shared.console import say
    from edgeseg.config.method_catalogue import refuse_idle_keys

    keys = [text.partition("=")[0].strip() for text in given]
    own = [key.removeprefix("train.") for key in keys if key.startswith("train.")]
    refuse_idle_keys(config.method, config.plugins, own)
    for key, value in config.idle_settings().items():
        say(f"train.{key} = {value} does nothing in {config.method}")


def print_result(result: RunResult, *, as_json: bool, next_command: str) -> None:
    """Print the per-class table, where things are and what to type next."""
    from rich.table import Table

    from edgeseg.cli.shared.console import console, say
    from edgeseg.metrics import format_class_iou, format_interval

    if not result.metrics:
        return  # a child process of --devices
    if as_json:
        print(to_json({"run": str(result.path), **result.metrics}))
    last, best = result.metrics["last"], result.metrics["best"]
    models = [model for model in ("ema", "student") if model in last]
    heads = {"ema": "IoU (EMA)", "student": "IoU (student)"}
    title = f"val after {last['step']} steps"
    table = Table("class", *(heads[model] for model in models), title=title)
    for name in last["ema"]["per_class"]:
        values = (last[model]["per_class"][name] for model in models)
        table.add_row(name, *map(format_class_iou, values))
    table.add_section()
    table.add_row("mIoU", *(f"{last[model]['miou']:.2f}" for model in models), style="bold")
    console.print(table)
    say(
        f"the weights of step {best['step']} ship: mIoU {best['miou']:.2f} "
        f"{format_interval(result.metrics)}".rstrip()
    )
    say(f"{result.metrics['seconds_per_step']:.3f} s a step")
    say(f"Results saved to {result.path} (look at {result.path / 'report.html'})")
    say(f"Next: {next_command}")
