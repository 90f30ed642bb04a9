"""Training: the loop that every method shares, with its data, optimizer, checkpoints and
validation; training of the site model and distillation of the edge model.
"""
