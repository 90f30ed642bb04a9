"""The tables of what runs on a device: `[infer]`, `[engine]` and `[log]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgeseg.config.section import Section, Unit


class InferConfig(Section):
    """The device."""

    backend: Literal[
        "auto", "cpu", "openvino", "cuda", "tensorrt", "tensorrt-rtx", "ort-tensorrt"
    ] = Field(
        "auto",
        description="Engine that runs the bundle: ONNX Runtime on cpu or cuda, OpenVINO on the CPU "
        "(openvino), TensorRT through its own library (tensorrt, or tensorrt-rtx for RTX cards) or "
        "through ONNX Runtime (ort-tensorrt); auto takes the fastest that works here.",
    )
    precision: Literal["auto", "fp32", "int8", "fp16"] = Field(
        "auto",
        description="File of the bundle that runs; auto takes the fastest that passed its checks.",
    )
    threads: Annotated[int, Unit("threads")] = Field(
        0, ge=0, description="CPU threads of the network; 0 takes as many as there are cores."
    )
    queue: Annotated[int, Unit("frames")] = Field(
        4,
        ge=1,
        description="Frames that may wait between two stages of the pipeline; fewer need less "
        "memory, more even out a slow disk.",
    )


class EngineConfig(Section):
    """TensorRT engines, which a device builds for itself."""

    workspace_mb: Annotated[int, Unit("MB")] = Field(
        512,
        ge=16,
        le=65_536,
        description="Scratch memory that a layer may use; lower it when a build is killed.",
    )
    level: int = Field(
        3,
        ge=0,
        le=5,
        description="Effort that TensorRT spends on the search for fast kernels; higher builds "
        "longer.",
    )
    dla: int | None = Field(
        None,
        ge=0,
        le=3,
        description="Core of the deep-learning accelerator to build for; the GPU alone when it is "
        "unset.",
    )
    timeout: Annotated[int, Unit("seconds")] = Field(
        3600,
        ge=1,
        description="Time that a build may take; small boards need a quarter of an hour.",
    )
    graphs: bool = Field(
        True, description="Replay the work of a frame as a CUDA graph, which saves launch time."
    )
    mapped: bool = Field(
        True,
        description="Share memory between CPU and GPU where a board can, so that nothing is "
        "copied.",
    )


class LogConfig(Section):
    """The frame log on the device."""

    max_bytes: Annotated[int, Unit("bytes")] = Field(
        2_000_000_000,
        ge=1_000_000,
        description="Size that the frame log never exceeds; the least valuable records go first.",
    )
    min_free_bytes: Annotated[int, Unit("bytes")] = Field(
        500_000_000,
        ge=0,
        description="Space that the frame log leaves free on its disk for everything else.",
    )
    per_hour: Annotated[int, Unit("frames per hour")] = Field(
        60, ge=1, description="Frames that are logged in an hour at most, a sixth of them at once."
    )
    near_duplicate: Annotated[int, Unit("bits of 64")] = Field(
        4,
        ge=0,
        le=64,
        description="A frame is not logged when its perceptual hash differs from that of a logged "
        "one in no more bits than this.",
    )
    random_share: float = Field(
        0.08,
        ge=0,
        le=1,
        description="Share of the logged frames that is drawn at random as a control.",
    )
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least score at which a frame is worth logging; the one that the bundle brings "
        "when it is unset.",
    )
    jpeg_quality: int = Field(
        92, ge=50, le=100, description="JPEG quality of logged frames; lower saves disk space."
    )
