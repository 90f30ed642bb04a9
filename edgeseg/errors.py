"""Errors that a user can cause; each message is one sentence: what is wrong, why, and what to do.

EdgesegError
+-- ConfigError             edgeseg.toml, flags, --set
|   +-- SiteNotFoundError   no edgeseg.toml here or above
+-- DataError               footage, images, masks, splits
+-- DependencyError         an extra that is not installed
+-- TrainError              training and distillation
|   +-- NonFiniteLossError  a loss or gradient that is infinite or not a number
+-- ExportError             ONNX, INT8, parity, gates
+-- BundleError             a bundle that must not or cannot be run
|   +-- DamagedBundleError  a file of the bundle is missing or its digest is wrong
|   +-- WrongFlavourError   the bundle holds no file for what was asked
+-- EngineError             an engine that cannot be built, or does not run as it should
+-- SourceError             a camera, video or folder that cannot be read
+-- FrameLogError           the device's frame log
+-- AdaptError              adaptation rounds

Whoever calls edgeseg from Python catches the narrowest class that fits, or `EdgesegError` for all.
The command line prints the message after "error: " and ends with exit code 1.
"""


class EdgesegError(Exception):
    """Base of all errors that a user can cause.

    Any other exception is a fault of edgeseg and keeps its traceback; report it with the output of
    `edgeseg doctor`.
    """


class ConfigError(EdgesegError):
    """A configuration file, flag or override cannot be used.

    The message names every mistake by its dotted key, such as train.steps. Correct them in
    edgeseg.toml or on the command line; docs/configuration.md lists all keys with their limits.
    """


class SiteNotFoundError(ConfigError):
    """There is no edgeseg.toml in the folder or in any folder above it.

    Go into the site, or make one with `edgeseg init DIR`.
    """


class DataError(EdgesegError):
    """Footage, images, masks or splits cannot be used.

    A file is missing, damaged or of the wrong kind, or a split has too few frames. The message
    names the files and the command that adds what is missing; `edgeseg status` shows the splits.
    """


class DependencyError(EdgesegError):
    """A package that the command needs is not installed.

    The message names the command that brings it, for the way in which this edgeseg was installed;
    `edgeseg doctor` lists all that is missing.
    """


class TrainError(EdgesegError):
    """Training or distillation cannot start or cannot go on.

    The settings do not fit the site, the method or the devices, or the run folder belongs to
    another run. What was saved is kept: `--resume` continues from the last checkpoint.
    """


class NonFiniteLossError(TrainError):
    """The loss or the norm of the gradient is infinite or not a number.

    The weights are as before the step, and the last checkpoint is good. Lower encoder_lr and
    decoder_lr, or train with precision 32.
    """


class ExportError(EdgesegError):
    """A model cannot be exported, or a file of it differs too much from the model before.

    The message names the step of the comparison that failed and by how much. Files that fail a
    gate are left out of the bundle and are no error.
    """


class BundleError(EdgesegError):
    """A bundle must not or cannot be run.

    It is no bundle, was made for another version of edgeseg, or holds a graph that is not what its
    manifest says. Export it again, or update edgeseg on the device.
    """


class DamagedBundleError(BundleError):
    """A file of the bundle is missing, or its size or digest is wrong.

    Copy the bundle to the device again.
    """


class WrongFlavourError(BundleError):
    """The bundle holds no file that runs in this precision on this back end.

    Choose another --precision or --backend, or export the bundle with the option that makes it.
    """


class EngineError(EdgesegError):
    """An engine of TensorRT or OpenVINO cannot be built, was refused, or does not run.

    With `--backend auto` edgeseg goes on with ONNX Runtime. For TensorRT `edgeseg build --force`
    tries again, and `edgeseg build --dry-run` prints the same build for NVIDIA's own tools.
    """


class SourceError(EdgesegError):
    """A camera, a video or a folder of images cannot be opened or read.

    Check the address, the cable or the permissions; a camera that is lost while running is
    connected again without an error.
    """


class FrameLogError(EdgesegError):
    """A frame log cannot be opened, read or written.

    Another process holds it, the disk is full or read-only, or the folder is no frame log.
    `edgeseg log verify` checks every record of one.
    """


class AdaptError(EdgesegError):
    """An adaptation round cannot start or cannot go on.

    There are too few records, no champion to compare with, or the site changed under the round.
    `edgeseg adapt --status` shows the rounds; `--resume` continues one and `--abandon` ends it.
    """
