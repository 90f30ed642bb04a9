"""What `import edgeseg` offers: every public name, lazily, and typed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import edgeseg
from edgeseg.errors import EdgesegError
from edgeseg.export.exporter import export

PACKAGE = Path(edgeseg.__file__).parent


def test_every_public_name_can_be_had() -> None:
    for name in edgeseg.__all__:
        assert getattr(edgeseg, name) is not None
        assert name in dir(edgeseg)


def test_type_checkers_are_told_of_every_public_name() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(edgeseg.__all__) <= imported
    assert (PACKAGE / "py.typed").exists()


def test_all_errors_are_public() -> None:
    subclasses = EdgesegError.__subclasses__()  # benchmarks have some of their own
    errors = {each.__name__ for each in subclasses if each.__module__.startswith("edgeseg.")}
    errors.add(EdgesegError.__name__)
    assert errors <= set(edgeseg.__all__)


def test_packages_named_after_a_function_can_be_called_and_stay_packages() -> None:
    for package in (edgeseg.export, edgeseg.compare):
        assert isinstance(package, ModuleType) and callable(package)
    assert edgeseg.export.exporter.export is export  # type: ignore[attr-defined]  # the package


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(edgeseg, "tarin")


def test_import_is_free_of_everything_heavy() -> None:
    program = (
        "import sys, edgeseg; edgeseg.TrainError; heavy = ('torch', 'numpy', 'pydantic', 'cv2'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
