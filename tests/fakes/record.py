"""Records the Python API of an installed TensorRT module: names, signatures and enum integers.

    python -m tests.fakes.record tensorrt_rtx LISTING.json

The module's own words are left out: they are NVIDIA's. A listing holds one version; `derive` takes
several of them, oldest first. It is run as a process of its own, since it imports native code.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

SIGNATURE = re.compile(r"^(?:\d+\. )?(\w*\(.*\) -> .*)$")
ABOUT = (
    "Names, call signatures and enum values of one version of a TensorRT module, made by "
    "tests/fakes/record.py"
)
Facts = dict[str, Any]  # Any: what json holds


def signatures(text: str | None, module: str) -> list[str]:
    """The lines of a docstring that pybind11 wrote, without the module in front of class names."""
    lines = [SIGNATURE.match(line.strip()) for line in (text or "").splitlines()]
    return [line[1].replace(f"{module}.", "") for line in lines if line is not None]


def member(value: object, module: str) -> list[str]:
    """The signatures of a method; of a property `property`, then those of its two functions."""
    if not isinstance(value, property):
        return signatures(value.__doc__, module)
    functions = {"get": value.fget, "set": value.fset}
    return [
        "property",
        *(
            f"{name}{signature}"
            for name, function in functions.items()
            if function is not None
            for signature in signatures(function.__doc__, module)
        ),
    ]


def record(trt: ModuleType) -> Facts:
    """The listing of `trt`."""
    version: str = trt.__version__
    classes, enums = {}, {}
    for name, kind in inspect.getmembers(trt, inspect.isclass):
        members = getattr(kind, "__members__", None)  # of enums alone
        if members is not None:
            values = {item: int(value) for item, value in members.items()}
            enums[name] = {"present": "all", "values_from": {version: values}}
        else:
            names = [item for item in dir(kind) if not item.startswith("_")] + ["__init__"]
            classes[name] = {
                "present": "all",
                "members": {
                    item: {
                        "present": "all",
                        "signature": {
                            version: member(inspect.getattr_static(kind, item), kind.__module__)
                        },
                    }
                    for item in sorted(names)
                },
            }
    return {
        "about": ABOUT,
        "module": trt.__name__,
        "versions": [version],
        "classes": classes,
        "enums": enums,
        "module_names": {name: "all" for name in dir(trt) if not name.startswith("_")},
    }


if __name__ == "__main__":
    listing = record(importlib.import_module(sys.argv[1]))
    Path(sys.argv[2]).write_text(json.dumps(listing, indent=1, sort_keys=True) + "\n")
