"""Published bundles: `bundles/<name>` are never changed or deleted, `bundles/current` is a link
moved in one rename.

The history is in the bundles themselves: each manifest names its parent, so going back needs no
second file that could disagree. Nothing here loads a model.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from edgeseg.atomic_files import lock_folder, replace_link, temporary_siblings
from edgeseg.bundle import Bundle, write_bundle
from edgeseg.errors import AdaptError, BundleError
from edgeseg.site import Site


def open_champion(site: Site) -> Bundle:
    """Open the bundle that `bundles/current` points at.

    Raises:
        AdaptError: The link is missing, or leads out of `bundles/`.
        BundleError: It leads to something that is no bundle.
    """
    if not site.current_bundle.is_symlink():
        raise AdaptError(
            f"{site.current_bundle} does not exist, so there is no champion; run `edgeseg export` "
            "first"
        )
    bundle = Bundle.open(site.current_bundle)
    if bundle.path.parent != (site.root / "bundles").resolve():
        raise AdaptError(
            f"{site.current_bundle} leads out of bundles/; export the champion into the site again"
        )
    return bundle


def published_bundles(site: Site) -> list[Bundle]:
    """Return every readable bundle in `bundles/`, by `seq`."""
    bundles = []
    for path in sorted((site.root / "bundles").glob("*")):
        if path.is_dir() and not path.is_symlink() and not path.name.startswith("."):
            try:
                bundles.append(Bundle.open(path))
            except BundleError:
                continue  # a damaged bundle of the past must not block the next one
    return sorted(bundles, key=lambda bundle: bundle.manifest.seq)


def next_seq(site: Site) -> int:
    """Return one above the `seq` of every bundle of the site.

    After a rollback the number of the bundle that was left is not used again.
    """
    return max((bundle.manifest.seq for bundle in published_bundles(site)), default=0) + 1


def ancestry(site: Site) -> list[Bundle]:
    """Return the champion, its parent, and so on as far as they can be read.

    Raises:
        AdaptError: There is no champion.
        BundleError: The champion cannot be read.
    """
    line = [open_champion(site)]
    while True:
        try:
            parent = _open_parent(site, line[-1])
        except BundleError:
            return line
        if parent is None or parent.path in [bundle.path for bundle in line]:
            return line
        line.append(parent)


def publish_bundle(
    site: Site, challenger: Path, name: str, parent: Bundle, notes: dict[str, Any]
) -> Bundle:
    """Copy `challenger` to `bundles/<name>` and make it current.

    Repeating it after a kill completes it.

    Args:
        site: The site.
        challenger: The folder of the bundle.
        name: Its name from now on.
        parent: The champion it was judged against, and the place to go back to.
        notes: What is added to the manifest's provenance; JSON values.

    Raises:
        AdaptError: Another bundle became current since the judgement.
        BundleError: A file of the challenger is damaged.
    """
    target = site.root / "bundles" / name
    with lock_folder(site.root / "bundles", AdaptError):
        if open_champion(site).path == target.resolve():
            return Bundle.open(target)
        if open_champion(site).path != parent.path:
            raise AdaptError(
                f"bundles/current left {parent.path.name}; run `edgeseg adapt --resume` to judge "
                "again"
            )
        for leftover in temporary_siblings(target):
            shutil.rmtree(leftover, ignore_errors=True)
        for link in temporary_siblings(site.current_bundle):
            link.unlink(missing_ok=True)
        if not _is_intact(target):
            bundle = Bundle.open(challenger)
            files = {file: bundle.read(file) for file in bundle.manifest.files}
            origin = {"parent": {"name": parent.path.name, "seq": parent.manifest.seq}, **notes}
            manifest = bundle.manifest.model_copy(
                update={"provenance": {**bundle.manifest.provenance, **origin}}
            )
            write_bundle(target, manifest, files).verify()
        replace_link(site.current_bundle, name)
        return Bundle.open(target)


def restore_parent(site: Site) -> tuple[Bundle, Bundle]:
    """Point `bundles/current` back at the parent of the champion; nothing is deleted.

    Returns:
        The bundle that was current and the one that is now.

    Raises:
        AdaptError: The champion has no parent here.
        BundleError: The parent is damaged; the champion stays.
    """
    with lock_folder(site.root / "bundles", AdaptError):
        bundle = open_champion(site)
        parent = _open_parent(site, bundle)
        if parent is None:
            raise AdaptError(
                f"{bundle.path.name} is the first bundle of its line, there is nothing to go back "
                "to; see the bundles with `edgeseg adapt --status`"
            )
        parent.verify()
        replace_link(site.current_bundle, parent.path.name)
        return bundle, parent


def _is_intact(path: Path) -> bool:
    try:
        Bundle.open(path).verify()
    except BundleError:
        return False
    return True


def _open_parent(site: Site, bundle: Bundle) -> Bundle | None:
    """Return the bundle that the manifest names as its parent; None where there is none here.

    The name comes from a file: one that leads out of `bundles/` is no parent.
    """
    entry = bundle.manifest.provenance.get("parent")
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or Path(name).name != name or name.startswith("."):
        return None
    path = site.root / "bundles" / name
    return Bundle.open(path) if path.is_dir() else None
