"""Training of site models and distillation of edge models, with the loop that both share."""
