"""The shape of the repository: imports without circles, small folders, narrow lines, pages that
exist.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE_FOLDERS = ("edgeseg", "cli", "export", "calibration")  # the last three are linked into it
MOST_MODULES = 13  # of a package folder, its __init__.py not counted
MOST_TEST_MODULES = 18  # helpers for as many subjects
WIDTH = 100
WRITTEN_BY_EDGESEG = {"card.md"}  # names of files that are no pages of this repository


@cache
def tracked(*suffixes: str) -> tuple[Path, ...]:
    """Tracked files with one of the suffixes, relative to the repository."""
    command = ["git", "ls-files", "-z", *(f"*{suffix}" for suffix in suffixes)]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file())


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in tracked(".py"):
        if path.parts[0] in PACKAGE_FOLDERS:
            names = [*path.parts[:-1], path.stem]
            names = names if names[0] == "edgeseg" else ["edgeseg", *names]
            found[".".join(names).removesuffix(".__init__")] = path
    return found


def imports_of(path: Path) -> Iterator[str]:
    """Names of the package's modules that a file imports, also inside functions and for types."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules())
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                name = submodule if submodule in modules() else node.module
                if name in modules():
                    yield name


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """What is left after names without open imports were taken away again and again."""
    left = {name: set(targets) - {name} for name, targets in graph.items()}
    while True:
        leaves = {name for name, targets in left.items() if not targets & left.keys()}
        if not leaves:
            break
        left = {name: targets for name, targets in left.items() if name not in leaves}
    # Names that only import a circle are no part of it: keep those that reach themselves.
    return [sorted(name for name in left if reaches(left, name, name))] if left else []


def reaches(graph: dict[str, set[str]], start: str, goal: str) -> bool:
    """Whether `goal` can be reached from `start` in one step or more."""
    seen: set[str] = set()
    open_names = list(graph[start])
    while open_names:
        name = open_names.pop()
        if name == goal:
            return True
        if name in graph and name not in seen:
            seen.add(name)
            open_names += graph[name]
    return False


def test_circles_are_seen_by_this_test() -> None:
    graph = {"top": {"a"}, "a": {"b"}, "b": {"c"}, "c": {"a", "leaf"}, "leaf": set()}
    assert circles(graph) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []


def test_no_circle_of_imports() -> None:
    graph = {name: set(imports_of(path)) for name, path in modules().items()}
    assert len(graph) > 200 and sum(map(len, graph.values())) > 800
    assert circles(graph) == []


def test_no_folder_holds_too_many_modules() -> None:
    counts = Counter(path.parent for path in tracked(".py") if path.name != "__init__.py")
    too_full = {}
    for folder, count in counts.items():
        most = MOST_TEST_MODULES if folder.parts[:1] == ("tests",) else MOST_MODULES
        if folder.parts[:1] != ("benchmarks",) and count > most:
            too_full[str(folder)] = count
    assert not too_full


def public_names(package: Path) -> set[str]:
    """The `__all__` of a package's `__init__.py`."""
    for node in ast.parse((ROOT / package).read_text()).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            return set(ast.literal_eval(node.value))
    raise AssertionError(f"{package} has no __all__")


def test_a_room_is_entered_by_its_public_names_only() -> None:
    """A package's `__all__` names what other packages may import of it: modules, or names."""
    packages = {name: path for name, path in modules().items() if path.name == "__init__.py"}
    public = {name: public_names(path) for name, path in packages.items()}
    entered: dict[str, set[str]] = {name: set() for name in packages}
    for name, path in modules().items():
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            for alias in node.names:
                parts = f"{node.module}.{alias.name}".split(".")
                for end in range(2, len(parts)):
                    room = ".".join(parts[:end])
                    if room in packages and not f"{name}.".startswith(f"{room}."):
                        entered[room].add(parts[end])
    hidden = {room: names - public[room] for room, names in entered.items()}
    assert not {room: names for room, names in hidden.items() if names}


def test_no_line_is_wide_and_nothing_escapes_the_formatter() -> None:
    faults = []
    for path in tracked(".py"):
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            if len(line) > WIDTH:
                faults.append(f"{path}:{number} has {len(line)} columns")
            if re.search(r"#\s*fmt:\s*(skip|off)", line) and path.name != Path(__file__).name:
                faults.append(f"{path}:{number} escapes the formatter")
    assert not faults, "\n".join(faults)


def test_every_page_that_is_named_exists() -> None:
    """A page is named from the root, as docs/methods.md is, or from the folder of the file.

    A name that is a whole string ("methods.md") is a part of a path and may lie in docs/ as well.
    """
    faults = []
    for path in tracked(".py", ".md", ".toml"):
        places = (ROOT, (ROOT / path).parent)
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            for match in re.finditer(r"(?<![\w/.:*{}-])[\w./-]*\w\.md\b", line):
                name = match[0]
                quoted = line[match.start() - 1 : match.end() + 1] == f'"{name}"'
                known = any(
                    (place / name).is_file()
                    for place in (*places, *([ROOT / "docs"] if quoted else []))
                )
                if not known and name not in WRITTEN_BY_EDGESEG:
                    faults.append(f"{path}:{number} names {name}")
    assert not faults, "\n".join(faults)
