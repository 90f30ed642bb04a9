"""`edgeseg build`: TensorRT engines for a bundle, built and tried out on the device that will run
them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli.shared.bundle_options import BundleArgument
from edgeseg.cli.shared.options import Json, Set, merge_overrides
from edgeseg.json_text import to_json

if TYPE_CHECKING:
    from edgeseg.bundle import Bundle, Flavour
    from edgeseg.config import EngineConfig
    from edgeseg.runtime.backends.base import BackendChoice
    from edgeseg.runtime.backends.engine_cache import EngineEntry
    from edgeseg.runtime.backends.tensorrt.libraries import NativeBackend

Precision = Annotated[
    str | None, typer.Option(help="int8, fp16 or fp32; INT8 and FP16 where held if left out.")
]
Library = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="tensorrt or tensorrt-rtx: the library that builds; the installed one if left out.",
    ),
]
Dla = Annotated[int | None, typer.Option(min=0, help="{engine.dla}")]
Force = Annotated[bool, typer.Option("--force", help="Build even where a good engine is kept.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the same build for trtexec and polygraphy, do nothing."),
]


def build(
    bundle: BundleArgument = None,
    precision: Precision = None,
    backend: Library = None,
    dla: Dla = None,
    force: Force = False,
    dry_run: DryRun = False,
    as_json: Json = False,
    set_: Set = None,
) -> None:
    """Build TensorRT engines on this device, check them on the bundle's golden frames, and keep
    those that pass.
    """
    from edgeseg.cli.shared.bundle_options import open_bundle
    from edgeseg.cli.shared.console import say
    from edgeseg.cli.shared.terminal_text import shell_word
    from edgeseg.errors import EngineError

    _, opened, config = open_bundle(bundle, merge_overrides("engine", set_, dla=dla))
    library = _choose_library(backend, config.infer.backend)
    flavours = _choose_flavours(opened, library, precision)
    if dry_run:
        _print_commands(opened, flavours, config.engine)
        return
    engines, failures = _build_engines(opened, library, flavours, config.engine, force)
    if as_json:
        print(to_json({flavour: engine.model_dump() for flavour, engine in engines.items()}))
    elif engines:
        _print_table(engines)
    for flavour, engine in engines.items():
        for warning in engine.warnings:
            say(f"{flavour}: {warning}")
    if failures:
        raise EngineError("; ".join(failures))
    best = min(engines, key=lambda flavour: engines[flavour].ms or float("inf"))
    say(
        f"{best} is the fastest here, so `--precision auto` takes it; next: edgeseg infer "
        f"{shell_word(opened.path)} --source ..."
    )


def _choose_library(named: str | None, configured: BackendChoice) -> NativeBackend:
    """Return the library to build with: the named one, the site's, or the first installed one.

    Raises:
        ConfigError: There is no such library.
    """
    from edgeseg.errors import ConfigError
    from edgeseg.runtime.backends.tensorrt import libraries

    for library in libraries.LIBRARIES.values():
        if library.backend == (named or configured):
            return library.backend
    if named is not None:
        raise ConfigError(
            f"--backend {named!r} builds no engines; choose {' or '.join(libraries.LIBRARIES)}, "
            "or leave it out"
        )
    installed = libraries.installed_backends()
    return installed[0] if installed else "tensorrt"


def _choose_flavours(
    bundle: Bundle, library: NativeBackend, precision: str | None
) -> list[Flavour]:
    """Return the flavours to build.

    Raises:
        ConfigError: There is no such precision.
        BundleError: The bundle lacks the file.
    """
    from edgeseg.bundle.flavours import FLAVOURS, flavours_of
    from edgeseg.errors import ConfigError
    from edgeseg.runtime.backends.flavour_choice import choose_flavour

    by_precision: dict[str, Flavour] = {
        FLAVOURS[flavour].precision: flavour for flavour in flavours_of(library)
    }
    if precision is None:
        held = [flavour for flavour in by_precision.values() if bundle.holds(flavour)]
        return (
            held[:-1] or held
        )  # FP32, which every bundle holds, only where there is nothing faster
    if precision not in by_precision:
        raise ConfigError(
            f"--precision {precision!r} is none of {', '.join(by_precision)}; choose one, "
            "or leave it out"
        )
    return [choose_flavour(bundle, library, by_precision[precision])]


def _build_engines(
    bundle: Bundle,
    library: NativeBackend,
    flavours: list[Flavour],
    config: EngineConfig,
    force: bool,
) -> tuple[dict[Flavour, EngineEntry], list[str]]:
    """Return the engines that passed, and the sentences of those that did not."""
    from edgeseg.bundle.verification import read_verified_graph
    from edgeseg.cli.shared.console import progress_bar
    from edgeseg.errors import EngineError
    from edgeseg.runtime.backends.tensorrt.engine_provider import (
        TensorRTEnvironment,
        get_or_build_engine,
    )

    engines: dict[Flavour, EngineEntry] = {}
    failures = []
    with progress_bar() as bar:
        environment = TensorRTEnvironment.detect(library)
        for flavour in flavours:
            data = read_verified_graph(bundle, flavour)
            try:
                engines[flavour], _ = get_or_build_engine(
                    bundle, flavour, data, config, environment, force=force, report=bar
                )
            except EngineError as error:
                failures.append(str(error))
    return engines, failures


def _print_table(engines: dict[Flavour, EngineEntry]) -> None:
    from rich.table import Table

    from edgeseg.cli.shared.console import table_console
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
    for flavour, engine in engines.items():
        evidence = LayerInspection.load(dict(engine.evidence))
        table.add_row(
            flavour,
            engine.parts["typing"],
            f"{engine.agreement or 0:.2f} %",
            f"{engine.least or 0:.2f} %",
            f"{engine.ms or 0:.2f}",
            f"{evidence.int8} of {evidence.layers}",
            f"{evidence.int8_convolutions} of {evidence.convolutions}",
            str(len(evidence.reformats)),
            f"{engine.plan.size / 1e6:.1f}" if engine.plan else "-",
            f"{engine.seconds:.0f} s",
        )
    table_console(160).print(table)
    first = next(iter(engines.values()))
    shown = ("device", "tensorrt", "tensorrt-rtx", "cuda")
    where = {name: first.parts[name] for name in shown if name in first.parts}
    described = ", ".join(f"{name} {value}" for name, value in where.items())
    print(described + (f", power mode {first.power}" if first.power else ""))


def _print_commands(bundle: Bundle, flavours: list[Flavour], config: EngineConfig) -> None:
    from edgeseg.runtime.backends.tensorrt.equivalent_commands import FAMILIES, equivalent_commands

    for flavour in flavours:
        for family in FAMILIES:
            print(f"# {flavour}, TensorRT {family}")
            for command in equivalent_commands(bundle, flavour, config, family):
                print(f"# {command.purpose}\n{command.line}")
            print()
