"""Weights for a narrow encoder out of those of its wider sibling, as `mobilenetv2_050` of `_100`.

Few narrow encoders have weights that can be had without a hub, and random ones learn little on one
site. Channels that carry most are kept, whole ones (structured pruning: Li et al., ICLR 2017), by
what each is expected to add to the layers that read it: the variance that its batch norm gives it,
gamma squared (Liu et al., ICCV 2017), times the squared weights by which it is read. The channels
of all blocks of a stage are the same ones, since their outputs are added.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from edgeseg.models.vit import StateDict

BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")
STEM = -1  # the stage whose outputs the first block reads


def is_wider(state: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> bool:
    """Whether tensors are those of a wider sibling: the same blocks, all at least as wide.

    Args:
        state: The tensors, under timm's names for inverted residuals (Sandler et al., CVPR 2018):
            conv_stem, blocks.STAGE.BLOCK.conv_pw, conv_dw, conv_pwl.
        shapes: Of the narrower one's tensors, under the same names.
    """
    if "conv_stem.weight" not in shapes or not all(name in state for name in shapes):
        return False
    # Deeper ones have more blocks, and gates (`se`) are no part of what is cut here.
    if any(_BLOCK.match(name) and name not in shapes for name in state):
        return False
    if any(".se." in name for name in shapes):
        return False
    pairs = [(tuple(state[name].shape), tuple(shape)) for name, shape in shapes.items()]
    alike = all(len(own) == len(other) for own, other in pairs)
    sides = [side for own, other in pairs for side in zip(own, other)]
    return alike and all(a >= b for a, b in sides) and any(a > b for a, b in sides)


def narrow_state(state: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> StateDict:
    """Return the tensors of a narrow encoder, cut out of those of a wider one.

    Args:
        state, shapes: For which `is_wider` holds.
    """
    return _Narrowing(state, shapes).state()


def _stages(names: Mapping[str, object]) -> dict[int, int]:
    """Return the number of blocks by stage."""
    places = [_BLOCK.match(name) for name in names]
    stages: dict[int, int] = {}
    for place in filter(None, places):
        stage, block = int(place[1]), int(place[2])
        stages[stage] = max(stages.get(stage, 0), block + 1)
    return stages


class _Narrowing:
    """One cut: which channels of each stage stay, then which within each block."""

    def __init__(self, wide: Mapping[str, Tensor], shapes: Mapping[str, torch.Size]) -> None:
        self._wide, self._shapes, self._stages = wide, shapes, _stages(shapes)
        self._kept = {stage: self._keep_outputs(stage) for stage in (STEM, *self._stages)}
        self._state: StateDict = {}

    def state(self) -> StateDict:
        self._cut("conv_stem", "bn1", self._kept[STEM], None)
        for stage, blocks in self._stages.items():
            for block in range(blocks):
                read = self._kept[stage if block else stage - 1]
                self._cut_block(f"blocks.{stage}.{block}", read, self._kept[stage])
        counters = [name for name in self._shapes if name.endswith("num_batches_tracked")]
        self._state |= {name: self._wide[name].clone() for name in counters}
        return self._state

    def _cut_block(self, name: str, read: Tensor, written: Tensor) -> None:
        if f"{name}.conv_pwl.weight" not in self._shapes:  # the first block expands nothing
            self._cut(f"{name}.conv_dw", f"{name}.bn1", read, None)
            self._cut(f"{name}.conv_pw", f"{name}.bn2", written, read)
            return
        reading = self._wide[f"{name}.conv_pwl.weight"][written].flatten(2).square().sum((0, 2))
        carried = self._wide[f"{name}.bn2.weight"].square() * reading
        hidden = _largest(carried, self._shapes[f"{name}.bn2.weight"][0])
        self._cut(f"{name}.conv_pw", f"{name}.bn1", hidden, read)
        self._cut(f"{name}.conv_dw", f"{name}.bn2", hidden, None)
        self._cut(f"{name}.conv_pwl", f"{name}.bn3", written, hidden)

    def _cut(self, layer: str, norm: str, written: Tensor, read: Tensor | None) -> None:
        weight = self._wide[f"{layer}.weight"][written]
        self._state[f"{layer}.weight"] = (weight if read is None else weight[:, read]).clone()
        for part in BATCH_NORM:
            self._state[f"{norm}.{part}"] = self._wide[f"{norm}.{part}"][written].clone()

    def _keep_outputs(self, stage: int) -> Tensor:
        """Return which of the channels that a stage writes are kept."""
        blocks = self._stages.get(stage, 1)
        norms = [self._norm_of(stage, block) for block in range(blocks)]
        carried = sum(self._wide[f"{norm}.weight"].square() for norm in norms)
        readers = [f"blocks.{stage}.{block}" for block in range(1, blocks) if stage != STEM]
        readers += [f"blocks.{stage + 1}.0"] if stage + 1 in self._stages else []
        assert isinstance(carried, Tensor)
        reading = [self._reading(name) for name in readers]
        if reading:
            carried = carried * torch.stack(reading).sum(0)
        return _largest(carried, self._shapes[f"{norms[0]}.weight"][0])

    def _norm_of(self, stage: int, block: int) -> str:
        if stage == STEM:
            return "bn1"
        name = f"blocks.{stage}.{block}"
        return f"{name}.bn3" if f"{name}.bn3.weight" in self._shapes else f"{name}.bn2"

    def _reading(self, name: str) -> Tensor:
        """Return (channels,) the squared weights by which a block reads its input."""
        if f"{name}.conv_pwl.weight" in self._shapes:
            return self._wide[f"{name}.conv_pw.weight"].flatten(2).square().sum((0, 2))
        return self._wide[f"{name}.conv_dw.weight"].flatten(1).square().sum(1)


def _largest(carried: Tensor, number: int) -> Tensor:
    """Return the places of the largest values in their own order."""
    return carried.topk(number).indices.sort().values
