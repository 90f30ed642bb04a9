"""Options of the commands that run bundles, and the bundle and configuration that they use."""

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
Backend = Annotated[str | None, typer.Option(help="{infer.backend}")]
Precision = Annotated[str | None, typer.Option(help="{infer.precision}")]
Threads = Annotated[int | None, typer.Option(min=0, help="{infer.threads}")]


def find_site(overrides: list[str]) -> Site | None:
    """Return the site around the working directory, if there is one.

    Raises:
        ConfigError: Its configuration is wrong.
    """
    from edgeseg.config import CONFIG_NAME
    from edgeseg.site import Site

    here = Path.cwd()
    inside = any((folder / CONFIG_NAME).is_file() for folder in (here, *here.parents))
    return Site.open(overrides=overrides) if inside else None


def site_configuration(
    site: Site | None, classes: Sequence[ClassSpec], overrides: list[str]
) -> SiteConfig:
    """Return the site's configuration, or outside of any the defaults under the overrides.

    Raises:
        ConfigError: A key or value is wrong.
    """
    from edgeseg.config import SiteConfig, apply_overrides

    if site is not None:
        return site.config
    table = {"classes": [spec.model_dump() for spec in classes]}
    return apply_overrides(SiteConfig, table, overrides, "the command line")


def open_bundle(
    bundle: Path | None, overrides: list[str]
) -> tuple[Site | None, Bundle, SiteConfig]:
    """Return the site around here if any, the bundle to run, and the configuration.

    Raises:
        ConfigError: Neither a bundle nor a site is given, or a value is wrong.
        BundleError: The bundle cannot be used.
    """
    from edgeseg.bundle import Bundle
    from edgeseg.errors import BundleError, ConfigError

    site = find_site(overrides)
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
    return site, opened, site_configuration(site, opened.manifest.classes, overrides)
