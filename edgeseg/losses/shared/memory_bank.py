"""Memory bank of negatives for a contrastive loss (U2PL, Wang et al., CVPR 2022; also PC2Seg).

Legend: C classes, D features of the representation, P pixels, K places in the bank.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.distributed import all_gather, world_size


class MemoryBank(nn.Module):
    """Memory bank Q_c: a first-in-first-out queue of normalized negatives for each class.

    Its buffers are part of the state dict, so that a resumed run goes on with the same negatives.

    Attributes:
        store: (C, K, D) float32, the negatives.
        pointer: (C,) int64, place of each class that is overwritten next.
        size: (C,) int64, places of each class that are filled.
    """

    store: Tensor
    pointer: Tensor
    size: Tensor

    def __init__(self, classes: int, length: int, rep_dim: int) -> None:
        super().__init__()
        self.register_buffer("store", torch.zeros(classes, length, rep_dim))
        self.register_buffer("pointer", torch.zeros(classes, dtype=torch.int64))
        self.register_buffer("size", torch.zeros(classes, dtype=torch.int64))

    @torch.no_grad()
    def push(self, rep: Tensor, negatives: Tensor, limit: int) -> None:
        """Enqueue up to `limit` random negatives of each class out of those of all processes.

        Every process offers up to `limit`; the same ones are then kept everywhere, so the banks
        stay equal. Example with K = 4 places: a class whose pointer is 3 writes two new negatives
        to the places 3 and 0, and its pointer moves to 1.

        Args:
            rep: (P, D) of the teacher; P has to be the same on all processes.
            negatives: (P, C) bool from `negative_mask`.
        """
        length = self.store.shape[1]
        limit = min(limit, length, negatives.shape[0])
        # A random number for every negative and -1 for all other pixels: the largest are the draw.
        lottery = torch.rand_like(negatives.T, dtype=torch.float32).masked_fill_(~negatives.T, -1.0)
        lot, pixel = lottery.topk(limit, dim=1)  # (C, limit)
        drawn = F.normalize(rep[pixel].to(self.store.dtype), dim=2)  # (C, limit, D)
        if world_size() > 1:  # the largest of all processes' draws
            lot, winner = all_gather(lot).movedim(0, 1).flatten(1).topk(limit, dim=1)
            drawn = all_gather(drawn).movedim(0, 1).flatten(1, 2)
            drawn = drawn.gather(1, winner[..., None].expand(-1, -1, drawn.shape[2]))
        is_negative = lot >= 0  # (C, limit): negatives come first, the rest is padding
        place = (self.pointer[:, None] + torch.arange(limit, device=drawn.device)) % length
        row = torch.arange(len(place), device=drawn.device)[:, None].expand_as(place)
        # Padding writes back what stands there.
        kept = torch.where(is_negative[..., None], drawn, self.store[row, place])
        self.store[row, place] = kept
        added = is_negative.sum(1)
        self.pointer.copy_((self.pointer + added) % length)
        self.size.copy_((self.size + added).clamp(max=length))

    def draw(self, number: int) -> Tensor:
        """Draw `number` negatives of each class with replacement.

        Returns:
            (C, number, D); zeros for a class whose queue is empty.
        """
        uniform = torch.rand(len(self.size), number, device=self.size.device)
        place = (uniform * self.size[:, None]).long()
        return self.store.gather(1, place[..., None].expand(-1, -1, self.store.shape[2]))
