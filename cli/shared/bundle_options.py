"""What the commands that run bundles share: their flags, and which bundle and configuration they
use.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edgeseg.bundle import Bundle
    from edgeseg.config import ClassSpec, SiteConfig
    from edgeseg.site import Site

BundleArgument = Annotated[
    Path | None,
    typer.Argument(metavar="[BUNDLE]", help="A bundle; the site's current one if left out."),
]
Backend = Annotated[str | None, typer.Option(help="auto, cpu, cuda, tensorrt or ort-tensorrt.")]
Precision = Annotated[str | None, typer.Option(help="auto, fp32, int8 or fp16.")]
Threads = Annotated[
    int | None, typer.Option(min=0, help="CPU threads, 0 for as many as there are cores.")
]


def site_here(given: list[str]) -> Site | None:
    """The site around the working directory, if there is one.

    Raises:
        ConfigError: its configuration is wrong.
    """
    from edgeseg.config import CONFIG_NAME
    from edgeseg.site import Site

    here = Path.cwd()
    inside = any((folder / CONFIG_NAME).is_file() for folder in (here, *here.parents))
    return Site.open(overrides=given) if inside else None


def settings(site: Site | None, classes: Sequence[ClassSpec], given: list[str]) -> SiteConfig:
    """The site's configuration, or outside of any the defaults, with the flags given.

    Raises:
        ConfigError: a wrong key or value.
    """
    from edgeseg.config import SiteConfig, apply_overrides

    if site is not None:
        return site.config
    return apply_overrides(
        SiteConfig, {"classes": [spec.model_dump() for spec in classes]}, given, "the command line"
    )


def place(bundle: Path | None, given: list[str]) -> tuple[Site | None, Bundle, SiteConfig]:
    """The site around here if any, the bundle to run, and the configuration.

    Raises:
        ConfigError: neither a bundle nor a site, or a wrong value.
        BundleError: the bundle cannot be used.
    """
    from edgeseg.bundle import Bundle
    from edgeseg.errors import BundleError, ConfigError

    site = site_here(given)
    if bundle is None:
        if site is None:
            raise ConfigError(
                f"{Path.cwd()} is in no site, so there is no current bundle; name the bundle to run"
            )
        if not site.current_bundle.exists():
            raise BundleError(
                f"{site.root} has no bundle yet; make one with `edgeseg export`, or name one"
            )
        bundle = site.current_bundle
    opened = Bundle.open(bundle)
    return site, opened, settings(site, opened.manifest.classes, given)
