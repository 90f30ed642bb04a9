"""`edgeseg doctor`: the state of this machine, and the commands that get what it lacks."""

from __future__ import annotations

from pathlib import Path

from edgeseg.cli.shared.options import Json
from edgeseg.json_text import to_json


def doctor(as_json: Json = False) -> None:
    """Show versions, engines, processor, GPU and disk, and what is missing. Name it all when you
    report a fault.
    """
    from rich.table import Table

    from edgeseg.cli.shared.console import say, table_console
    from edgeseg.doctor import examine
    from edgeseg.installation import install_command

    findings = examine(Path.cwd())
    if as_json:
        print(to_json(findings.as_dict(), indent=2))
        return
    facts = {
        "edgeseg": findings.edgeseg,
        "Python": findings.python,
        "system": findings.system,
        "processor": f"{findings.processor}, {findings.cores} cores",
        "for INT8": " ".join(findings.features) or "nothing special",
        "GPU": "; ".join(findings.gpus) or "none",
        "CUDA driver": findings.cuda or "none",
        "CUDA runtime": findings.cudart,
        "TensorRT": findings.tensorrt or "no Python module",
        "TensorRT for RTX": findings.tensorrt_rtx or "no Python module",
        "Jetson": findings.jetson or "no",
        "ONNX Runtime runs on": ", ".join(findings.providers) or "-",
        "OpenVINO": findings.openvino or "not installed",
        "free disk": f"{findings.free_bytes / 1e9:.1f} GB",
    }
    table = Table("what", "found", "brought by", box=None, show_header=False)
    for name, value in facts.items():
        table.add_row(name, value, "")
    for number, engine in enumerate(findings.engines):
        table.add_row("" if number else "TensorRT engines", engine, "")
    for number, choice in enumerate(findings.measured):
        table.add_row("" if number else "fastest on this CPU", choice, "")
    for package in findings.packages:
        table.add_row(package.name, package.version or "not installed", package.extra)
    out = table_console(160, highlight=False)
    out.print(table)
    for sentence in findings.advice:
        out.print(f"- {sentence}", soft_wrap=True)
    ready = all(
        package.version for package in findings.packages if package.extra in ("base", "device")
    )
    say(
        "next: edgeseg infer BUNDLE --source VIDEO"
        if ready
        else f"next: {install_command('device')}"
    )
