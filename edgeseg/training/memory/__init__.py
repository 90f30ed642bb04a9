"""How much memory a training step takes, and in how many parts a batch goes through the network so
that it fits.
"""
