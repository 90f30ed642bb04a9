"""Networks and decoders of this project for small devices, which run in integers all through."""

__all__ = ["blocks", "ddrnet", "edgenet", "lightfpn", "lraspp", "stdc"]
