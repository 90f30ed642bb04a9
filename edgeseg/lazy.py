"""Public names that are imported when first used, so that `import edgeseg` costs nothing.

Python asks a module's `__getattr__` for names that it lacks (PEP 562), and lets a package's class
be replaced, so that a package can be called like the function that it is named after.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a `__getattr__` for `package` that imports a name from its home at first use.

    Args:
        package: The package's `__name__`.
        homes: The module of each name, such as `{"Site": "edgeseg.site"}`; a name whose home is
            the sub-package of that name is the sub-package itself.
    """

    def find(name: str) -> Any:  # Any: a class, a function or an error, as asked
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = import_module(homes[name])
        value = home if homes[name] == f"{package}.{name}" else getattr(home, name)
        setattr(sys.modules[package], name, value)  # asked once
        return value

    return find


def callable_package(package: str, module: str, function: str) -> None:
    """Let `package` be called as `function` of `module`, which is imported at the first call.

    `edgeseg.export` is a folder of modules and, for who uses the library, the function that
    exports a model. The import system sets a package's attribute to its sub-package whenever the
    latter is loaded, so a function under the same name would vanish; a module that can be called
    is both.
    """

    class CallablePackage(ModuleType):
        def __call__(self, *args: Any, **options: Any) -> Any:  # Any: as the function has them
            return getattr(import_module(module), function)(*args, **options)

    sys.modules[package].__class__ = CallablePackage
