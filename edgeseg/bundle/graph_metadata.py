"""The keys under which an exported graph says what it is, in the metadata of its ONNX file."""

from __future__ import annotations

FLAVOUR_KEY = "edgeseg.flavour"  # which flavour the file was made as
SOURCE_KEY = "edgeseg.source"  # sha256 of the model.onnx that it was made from
CALIBRATION_KEY = "edgeseg.calibration"  # name of the quantization recipe
CALIBRATION_FRAMES_KEY = "edgeseg.calibration_frames"  # how many frames the ranges came from
FLOAT_TENSORS_KEY = "edgeseg.islands"  # JSON list of tensors left float to save accuracy
FLOAT_CONVOLUTIONS_KEY = "edgeseg.float_convolutions"  # JSON list of nodes
