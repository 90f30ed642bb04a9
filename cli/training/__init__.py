"""Commands that train models: train, distill, compare, methods."""
