"""`edgeseg build`: TensorRT engines for a bundle, built and tried out on the device that will run
them.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared.bundle_options import BundleArgument
from edgeseg.cli.shared.options import Json, Set, overrides

if TYPE_CHECKING:
    from edgeseg.bundle import Bundle, Flavour
    from edgeseg.config import EngineConfig
    from edgeseg.runtime.backends.tensorrt.engine_cache import EngineEntry

Precision = Annotated[
    str | None, typer.Option(help="int8, fp16 or fp32; INT8 and FP16 where held if left out.")
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the same build for trtexec and polygraphy, do nothing."),
]


def build(
    bundle: BundleArgument = None,
    precision: Precision = None,
    dla: Annotated[
        int | None, typer.Option(min=0, help="Core of the deep-learning accelerator.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Build even where a good engine is kept.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    set_: Set = None,
) -> None:
    """Build TensorRT engines on this device, check them on the bundle's golden frames, and keep
    those that pass.
    """
    from edgeseg.cli.shared.bundle_options import place
    from edgeseg.cli.shared.console import say

    _, opened, config = place(bundle, overrides("engine", set_, dla=dla))
    flavours = _flavours(opened, precision)
    if dry_run:
        _commands(opened, flavours, config.engine)
        return
    records, failed = _build(opened, flavours, config.engine, force)
    if as_json:
        print(json.dumps({flavour: record.model_dump() for flavour, record in records.items()}))
    elif records:
        _table(records)
    for flavour, record in records.items():
        for warning in record.warnings:
            say(f"{flavour}: {warning}")
    if failed:
        from edgeseg.errors import EngineError

        raise EngineError("; ".join(failed))
    best = min(records, key=lambda flavour: records[flavour].ms or float("inf"))
    say(
        f"{best} is the fastest here, so `--precision auto` takes it; next: edgeseg infer "
        f"{opened.path} --source ..."
    )


def _flavours(bundle: Bundle, precision: str | None) -> list[Flavour]:
    """What to build.

    Raises:
        ConfigError: no such precision.
        BundleError: the bundle lacks the file.
    """
    from edgeseg.bundle.flavours import FLAVOURS, flavours_of
    from edgeseg.errors import ConfigError
    from edgeseg.runtime.backends.flavour_choice import choose_flavour

    wanted: dict[str, Flavour] = {
        FLAVOURS[flavour].precision: flavour for flavour in flavours_of("tensorrt")
    }
    if precision is None:
        held = [flavour for flavour in wanted.values() if bundle.holds(flavour)]
        return (
            held[:-1] or held
        )  # FP32, which every bundle holds, only where there is nothing faster
    if precision not in wanted:
        raise ConfigError(
            f"--precision {precision!r} is none of {', '.join(wanted)}; choose one, or leave it out"
        )
    return [choose_flavour(bundle, "tensorrt", wanted[precision])]


def _build(
    bundle: Bundle, flavours: list[Flavour], config: EngineConfig, force: bool
) -> tuple[dict[Flavour, EngineEntry], list[str]]:
    """What passed, and the sentences of what did not."""
    from edgeseg.bundle.verification import read_verified_graph
    from edgeseg.cli.shared.console import report
    from edgeseg.errors import EngineError
    from edgeseg.runtime.backends.tensorrt.engine_provider import (
        TensorRTEnvironment,
        get_or_build_engine,
    )

    records: dict[Flavour, EngineEntry] = {}
    failed = []
    with report() as bar:
        tools = TensorRTEnvironment.detect()
        for flavour in flavours:
            data = read_verified_graph(bundle, flavour)
            try:
                records[flavour], _ = get_or_build_engine(
                    bundle, flavour, data, config, tools, force=force, report=bar
                )
            except EngineError as error:
                failed.append(str(error))
    return records, failed


def _table(records: dict[Flavour, EngineEntry]) -> None:
    from rich.console import Console
    from rich.table import Table

    from edgeseg.runtime.backends.tensorrt.layer_inspection import LayerInspection

    table = Table(
        "engine",
        "typing",
        "golden pixels",
        "least",
        "median ms",
        "INT8 layers",
        "INT8 convolutions",
        "reformats",
        "MB",
        "built in",
        box=None,
    )
    for flavour, record in records.items():
        seen = LayerInspection.load(dict(record.evidence))
        table.add_row(
            flavour,
            record.parts["typing"],
            f"{record.agreement or 0:.2f} %",
            f"{record.least or 0:.2f} %",
            f"{record.ms or 0:.2f}",
            f"{seen.int8} of {seen.layers}",
            f"{seen.int8_convolutions} of {seen.convolutions}",
            str(len(seen.reformats)),
            f"{record.plan.size / 1e6:.1f}" if record.plan else "-",
            f"{record.seconds:.0f} s",
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    first = next(iter(records.values()))
    where = {name: first.parts[name] for name in ("device", "tensorrt", "cuda")}
    told = ", ".join(f"{name} {value}" for name, value in where.items())
    print(told + (f", power mode {first.power}" if first.power else ""))


def _commands(bundle: Bundle, flavours: list[Flavour], config: EngineConfig) -> None:
    from edgeseg.runtime.backends.tensorrt.equivalent_commands import FAMILIES, equivalent_commands

    for flavour in flavours:
        for family in FAMILIES:
            print(f"# {flavour}, TensorRT {family}")
            for command in equivalent_commands(bundle, flavour, config, family):
                print(f"# {command.purpose}\n{command.line}")
            print()
