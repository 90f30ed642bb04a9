"""Methods in stages: a teacher is trained, labels the footage, and a fresh student learns it."""
