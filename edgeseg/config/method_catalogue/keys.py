"""Which keys of `[train]` act in which methods."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgeseg.config.method_catalogue.catalogue import (
    CATALOGUE,
    NO_STRONG_VIEW,
    PLUGINS,
    SUPERVISED,
    parts_of,
)
from edgeseg.config.method_settings import AELConfig, FPLConfig, U2PLConfig
from edgeseg.errors import ConfigError

PLUGIN_KEYS: dict[str, tuple[str, ...]] = {  # keys of `[train]` that act in a plug-in
    "u2pl_contrast": ("rep_dim", *(f"u2pl.{key}" for key in U2PLConfig.model_fields)),
    "fpl": tuple(f"fpl.{key}" for key in FPLConfig.model_fields),
    "ael": ("cutmix", *(f"ael.{key}" for key in AELConfig.model_fields)),
    "augseg": (),
    "dacs": (),
    "prevmatch": ("warmup",),
    "corrmatch": (),
}


def keys_read(method: str, plugins: Sequence[str]) -> frozenset[str]:
    """The keys of `[train]` that act in a method, of those that do nothing in some method.

    Example: of suponly's there are none, and of st's "batch_unlabelled", "unlabelled_weight" and
    "strong".
    """
    info = CATALOGUE[method]
    keys = {*info.reads}
    if info.family != SUPERVISED:
        keys.add("batch_unlabelled")
    for key, own in (("cutmix", info.cutmix), ("confidence", info.confidence)):
        if own is not None:
            keys.add(key)
    for plugin in parts_of(method, plugins):
        keys.update(PLUGIN_KEYS[plugin])
    if method in NO_STRONG_VIEW:  # nothing is mixed there
        keys.discard("cutmix")
    return frozenset(keys)


# The keys of `[train]` that act in some methods and do nothing in others.
METHOD_KEYS = frozenset(key for name in CATALOGUE for key in keys_read(name, tuple(PLUGINS)))
# Of these the ones that only say how large something is, which people set for all methods alike.
SIZE_KEYS = frozenset({"batch_unlabelled", "rep_dim"})


def refuse_idle_keys(method: str, plugins: Sequence[str], keys: Iterable[str]) -> None:
    """Refuse keys that somebody sets for this one method, and that do nothing in it; sizes may.

    Args:
        method: name of the method.
        plugins: those that the user added.
        keys: keys or tables of `[train]`, such as "confidence", "u2pl.alpha" or "u2pl".

    Raises:
        ConfigError: with the first of them, and where it acts.
    """
    read = keys_read(method, plugins)
    for key in keys:
        meant = {known for known in METHOD_KEYS if known == key or known.startswith(f"{key}.")}
        if not meant - SIZE_KEYS or meant & read:
            continue
        readers = [
            name
            for name, info in CATALOGUE.items()
            if not info.baseline and meant & keys_read(name, ())
        ]
        helpers = [
            f"--plugin {name}"
            for name, own in PLUGIN_KEYS.items()
            if CATALOGUE[method].plugins and meant & {*own} & keys_read(method, (*plugins, name))
        ]
        raise ConfigError(
            f"train.{key} does nothing in {method}; leave it out, or take a method in which it "
            f"acts, such as {', '.join([*readers[:6], *helpers])}"
        )
