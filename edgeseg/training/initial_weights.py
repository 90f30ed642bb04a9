"""The network that a training starts with: pretrained, from an earlier run, or random."""

from __future__ import annotations

from pathlib import Path

from edgeseg.config import LoopConfig
from edgeseg.disk.stored_paths import find_stored_path, home_path
from edgeseg.errors import TrainError
from edgeseg.models import Network, build_network
from edgeseg.models.model_files import ModelCard, load_weights, read_card


def build_initial_network(
    config: LoopConfig, classes: int, init: Path | None, rep_dim: int = 0, *, root: Path, run: Path
) -> Network:
    """Build a network to train, with its first weights and its savings of memory.

    Args:
        config: Names the network and the weights of its encoder.
        classes: Their number.
        init: A run whose best weights are the start instead.
        rep_dim: Width of the representation head, 0 without.
        root: The folder of the site, where a weights file is looked for as well.
        run: The run folder. A run that goes on keeps the network that it began with.

    Raises:
        TrainError: the network cannot be built, or the weights cannot be had.
    """
    weights = "none" if init else _find_weights(config.weights, root)
    network = _build_as_before(
        config, classes, rep_dim, weights, begun_card(run) or (read_card(init) if init else None)
    )
    if init:
        load_initial_weights(network, init, config)
    network.save_memory(freeze_encoder=config.freeze_encoder, checkpointing=config.checkpointing)
    return network


def build_as_trained(config: LoopConfig, classes: int, run: Path) -> Network:
    """Build the network of a run, or of a stage of one, without its weights.

    Raises:
        TrainError: the network cannot be built, or the run's card is damaged.
    """
    return _build_as_before(config, classes, 0, "none", begun_card(run))


def begun_card(run: Path) -> ModelCard | None:
    """Return the card that says how a run's network was built; None if the run has not begun.

    A run in stages may have finished some of them and have no card of its own yet.

    Raises:
        TrainError: A card is damaged.
    """
    for folder in (run, *sorted(run.glob("stages/*"))):
        if (folder / "model.json").exists():
            return read_card(folder)
    return None


def _build_as_before(
    config: LoopConfig, classes: int, rep_dim: int, weights: str, earlier: ModelCard | None
) -> Network:
    """Build a network with dilation, normalization and origin of an earlier one, if there is one.

    Weights from before go with them, whatever edgeseg takes by itself today.
    """
    rates = earlier.built_rates if earlier else None
    network = build_network(
        config.arch, config.encoder, classes, weights, rep_dim, config.imgsz, rates
    )
    if earlier:
        network.normalization = earlier.normalization
        network.weights_origin = earlier.weights_origin
    return network


def _find_weights(weights: str, root: Path) -> str:
    """Return a weights file as it is found here: from the working directory, or in the site."""
    if weights in ("imagenet", "none"):
        return weights
    path = home_path(Path(weights))  # no shell sees what stands in a file or behind --set
    inside = path if path.exists() else find_stored_path(root, str(path))
    return str(inside) if inside.exists() else weights


def load_initial_weights(student: Network, run: Path, config: LoopConfig) -> None:
    """Load the best weights of `run` into a student.

    A representation head that only one of the two has is left as it is.

    Raises:
        TrainError: the run is unfinished or of another network.
    """
    card = read_card(run)
    if (card.arch, card.encoder) != (config.arch, config.encoder):
        raise TrainError(
            f"{run} holds {card.arch}/{card.encoder} but the configuration says "
            f"{config.arch}/{config.encoder}; make them equal or start without it"
        )
    load_weights(student, run / "weights" / "best.safetensors", strict=False)


def refuse_frozen_random_encoder(config: LoopConfig, init: Path | None) -> None:
    """Refuse to freeze an encoder that would start from random numbers.

    Raises:
        TrainError: the encoder is frozen, and neither pretrained nor taken from the run `init`.
    """
    if config.freeze_encoder and config.weights == "none" and init is None:
        raise TrainError(
            "freeze_encoder keeps the encoder as it is, and weights = none makes that random "
            "numbers; name a weights file, or start from a run with --init"
        )
