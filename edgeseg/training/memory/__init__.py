"""The memory that a training step takes, and the split of batches that keeps to a budget."""

__all__ = ["accumulation", "allocator", "budget"]
