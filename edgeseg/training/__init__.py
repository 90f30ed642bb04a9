"""Training of site models and distillation of edge models, with the loop that both share."""

__all__ = [
    "distill",
    "initial_weights",
    "inspection",
    "memory",
    "model_evaluation",
    "run_folder",
    "train",
]
