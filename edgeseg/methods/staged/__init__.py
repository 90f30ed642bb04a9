"""Methods in stages: a teacher is trained, labels the footage, and a fresh student learns it."""

__all__: list[str] = []

__all__ = ["naive_student", "noisy_student", "st", "stpp"]
