"""`edgeseg doctor`: what this machine has, what it lacks, and the command that gets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgeseg.cli.shared.options import Json


def doctor(as_json: Json = False) -> None:
    """Show versions, engines, processor, GPU and disk, and what is missing. Name it all when you
    report a fault.
    """
    from rich.console import Console
    from rich.table import Table

    from edgeseg.cli.shared.console import say
    from edgeseg.doctor import examine

    found = examine(Path.cwd())
    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
        return
    facts = {
        "edgeseg": found.edgeseg,
        "Python": found.python,
        "system": found.system,
        "processor": f"{found.processor}, {found.cores} cores",
        "for INT8": " ".join(found.features) or "nothing special",
        "GPU": "; ".join(found.gpus) or "none",
        "CUDA driver": found.cuda or "none",
        "CUDA runtime": found.cudart,
        "TensorRT": found.tensorrt or "no Python module",
        "Jetson": found.jetson or "no",
        "ONNX Runtime runs on": ", ".join(found.providers) or "-",
        "free disk": f"{found.free_bytes / 1e9:.1f} GB",
    }
    table = Table("what", "found", "brought by", box=None, show_header=False)
    for name, value in facts.items():
        table.add_row(name, value, "")
    for number, engine in enumerate(found.engines):
        table.add_row("" if number else "TensorRT engines", engine, "")
    for package in found.packages:
        table.add_row(package.name, package.version or "not installed", package.extra)
    out = Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
    out.print(table)
    for sentence in found.advice:
        out.print(f"- {sentence}", soft_wrap=True)
    ready = all(
        package.version for package in found.packages if package.extra in ("base", "device")
    )
    say(
        "next: edgeseg infer BUNDLE --source VIDEO"
        if ready
        else "next: pip install 'edgeseg[device]'"
    )
