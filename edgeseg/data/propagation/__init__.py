"""Labels carried to unlabelled frames that show the same things."""

__all__ = ["propagated_reader", "propagation_picture"]
