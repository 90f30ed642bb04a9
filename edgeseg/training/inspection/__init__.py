"""What one step of a training reads and what its student sees, made by the trainer's own parts."""

from edgeseg.training.inspection.step_inspector import StepInspector, StepReading, StudentView

__all__ = ["StepInspector", "StepReading", "StudentView"]
