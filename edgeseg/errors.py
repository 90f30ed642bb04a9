"""Errors a user can cause; each message is one sentence that says what, why and how to mend.

EdgesegError
+-- ConfigError       edgeseg.toml, flags, --set
+-- DataError         footage, images, masks, splits
+-- DependencyError   an extra that is not installed
+-- TrainError        training and distillation
+-- ExportError       ONNX, INT8, parity, gates
+-- BundleError       a bundle that is damaged, foreign or of the wrong flavour
+-- EngineError       a TensorRT engine that cannot be built, or does not run as it should
+-- SourceError       a camera, video or folder that cannot be read
+-- FrameLogError     the device's frame log
+-- AdaptError        adaptation rounds
"""


class EdgesegError(Exception):
    """Base of everything the command line prints as one sentence with exit code 1."""


class ConfigError(EdgesegError):
    """A configuration file, flag or override that cannot be used."""


class DataError(EdgesegError):
    """Footage, images, masks or splits that cannot be used."""


class DependencyError(EdgesegError):
    """A package that the command needs and the environment lacks."""


class TrainError(EdgesegError):
    """Training or distillation cannot start or cannot go on."""


class ExportError(EdgesegError):
    """A model that cannot be exported, or failed a gate."""


class BundleError(EdgesegError):
    """A bundle that must not be run."""


class EngineError(EdgesegError):
    """A TensorRT engine that cannot be built, was refused, or does not run."""


class SourceError(EdgesegError):
    """A frame source that cannot be opened or read."""


class FrameLogError(EdgesegError):
    """A frame log that cannot be opened, read or written."""


class AdaptError(EdgesegError):
    """An adaptation round that cannot start or cannot go on."""
