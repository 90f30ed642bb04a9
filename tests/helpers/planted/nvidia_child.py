"""Asks NVIDIA's parser and builder about the files in a folder, in a process of its own.

`python -m tests.helpers.planted.nvidia_child FOLDER` appends the answers on `NAME.onnx` to
`answers.jsonl`, each in a line; `ask_nvidia` starts it, and starts it again behind a file that
crashed it: a crash of native code is a verdict too.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.config import EngineConfig
from edgeseg.export.tensorrt.library_worker import LibraryQuestions
from edgeseg.runtime.backends.tensorrt.libraries import LIBRARIES, import_library
from edgeseg.runtime.backends.tensorrt.version_differences import ParserFault
from tests.helpers.planted.expectations import Answer

ANSWERS, COMPUTE = "answers.jsonl", "8.6"
LIMIT = 1200  # seconds for all files, of which there are some 10 of work


def ask_nvidia(files: Mapping[str, bytes], folder: Path) -> dict[str, Answer]:
    """Return what NVIDIA's code says of each file; "crashes" with what it printed last."""
    answers: dict[str, Answer] = {}
    while left := [name for name in files if name not in answers]:
        for name in left:
            (folder / f"{name}.onnx").write_bytes(files[name])
        command = [sys.executable, "-m", __name__, str(folder)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        told = _read(folder / ANSWERS)
        answers |= {name: _answer(lines) for name, lines in told.items() if "warnings" in lines[-1]}
        crashed = [name for name in told if name not in answers]
        if ended.returncode and not crashed:
            raise RuntimeError(ended.stderr[-2000:])
        answers |= {name: Answer("crashes", "", ended.stderr[-300:]) for name in crashed}
        for path in folder.iterdir():
            path.unlink()
    return answers


def _read(path: Path) -> dict[str, list[dict[str, Any]]]:  # Any: JSON
    told = defaultdict(list)
    for line in path.read_text().splitlines():
        answer = json.loads(line)
        told[answer["name"]].append(answer)
    return told


def _answer(lines: list[dict[str, Any]]) -> Answer:  # Any: JSON
    """Return the verdict in the answers on one file."""
    said = {key: value for line in lines for key, value in line.items()}
    if "errors" in said:
        fault = ParserFault(**said["errors"][0])
        return Answer("parser refuses", f"{fault.operator} {fault.name}".strip(), fault.reason)
    if not said["build"]["bytes"]:
        return Answer("builder refuses", "", said["build"]["error"])
    if said["warnings"]:
        return Answer("warns", "", "; ".join(said["warnings"]))
    return Answer("builds")


def main(folder: Path) -> None:
    """Ask about all files."""
    trt = import_library(LIBRARIES["tensorrt-rtx"])
    with (folder / ANSWERS).open("a", buffering=1) as out:
        name = ""

        def tell(answer: dict[str, Any]) -> None:  # Any: JSON
            print(json.dumps({**answer, "name": name}), file=out)

        questions = LibraryQuestions(trt, EngineConfig(), lambda text: None, tell)
        for path in sorted(folder.glob("*.onnx")):
            name = path.stem
            questions.ask("int8-trt", path.read_bytes(), [COMPUTE])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
