"""The memory bank of negatives is first in, first out for each class."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from edgeseg.losses.shared.memory_bank import MemoryBank


def test_bank_is_first_in_first_out_per_class_and_draws_only_what_it_holds() -> None:
    torch.manual_seed(0)
    bank = MemoryBank(2, 4, 2)
    east, north = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    first = torch.tensor([[True, False]])
    for _ in range(3):
        bank.push(east, first, 8)
    assert bank.size.tolist() == [3, 0]
    assert torch.equal(bank.draw(6)[0], east.expand(6, 2))
    assert not bank.draw(6)[1].any()
    for _ in range(4):
        bank.push(north, first, 8)
    assert bank.size.tolist() == [4, 0] and bank.pointer.tolist() == [3, 0]
    assert torch.allclose(bank.draw(6)[0], F.normalize(north, dim=1).expand(6, 2))


def test_bank_keeps_no_more_than_asked_from_one_push() -> None:
    bank = MemoryBank(1, 100, 3)
    bank.push(torch.randn(50, 3), torch.ones(50, 1, dtype=torch.bool), 7)
    assert bank.size.tolist() == [7]
