"""The table `[export]`: the bundle, and the gates that its files must pass."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgeseg.config.section import Section, Size, Unit


class ExportConfig(Section):
    """The bundle and the gates it must pass."""

    imgsz: Size | None = Field(
        None,
        description="Height and width of the exported graph's input, multiples of 32 (of 14 for "
        "DINOv2); the size that the edge model was trained at when it is unset.",
    )
    int8: bool = Field(
        False, description="Also write INT8 files, one for CPUs and one for TensorRT."
    )
    half: bool = Field(False, description="Also write an FP16 file.")
    alpha: float = Field(
        0.2,
        gt=0,
        lt=1,
        description="Share of the val pixels that counts as unreliable: it sets the entropy "
        "threshold gamma, and with it the score by which a device picks frames to log.",
    )
    calibration_frames: Annotated[int, Unit("frames")] = Field(
        64, ge=1, description="Unlabelled frames that set the value ranges of the INT8 files."
    )
    calibration: Literal["spread", "random", "kcentre", "classes"] = Field(
        "spread",
        description="Choice of these frames: spread over cameras and time, at random, by k-center "
        "in the encoder's features, or so that all classes are covered.",
    )
    hard_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of these frames that are the ones with the highest score; they widen "
        "the ranges.",
    )
    max_drop: Annotated[float, Unit("mIoU points")] = Field(
        0.3, ge=0, description="Accuracy that an INT8 file may lose on the val frames."
    )
    max_class_drop: Annotated[float, Unit("IoU points")] = Field(
        1.0, ge=0, description="Accuracy that an INT8 file may lose on the val frames in any class."
    )
    min_speedup: Annotated[float, Unit("times")] = Field(
        1.0,
        ge=0,
        description="Speed that the INT8 file for CPUs must reach on this machine against FP32; 0 "
        "lets a slower one pass, for instance where the device is another machine.",
    )
    qat: bool = Field(
        False,
        description="Train the quantized weights for a while if nothing else is accurate enough.",
    )
    qat_steps: Annotated[int, Unit("steps")] = Field(
        300, ge=1, description="Length of that training, two frames in each step."
    )
    threads: Annotated[int, Unit("threads")] = Field(
        0, ge=0, description="CPU threads of the timing; 0 takes as many as there are cores."
    )
    seed: int = Field(0, description="Seed of the choice of calibration frames.")
    ask_tensorrt: bool = Field(
        True,
        description="Ask NVIDIA's own parser and builder about the files that TensorRT is to run, "
        "where TensorRT for RTX or TensorRT is installed; an INT8 file that they refuse is left "
        "out of the bundle.",
    )
    ask_timeout: Annotated[int, Unit("seconds")] = Field(
        600, ge=1, description="Time that they may take to read a file, or for one build of it."
    )
    ask_memory_mb: Annotated[int, Unit("MB")] = Field(
        4096, ge=256, description="Memory that they may take, which Linux alone can tell."
    )
