"""The whole of `edgeseg.toml` as one frozen pydantic model."""

from __future__ import annotations

from pydantic import Field, model_validator

from edgeseg.config.adapt import AdaptConfig
from edgeseg.config.data import ClassSpec, DataConfig
from edgeseg.config.device import EngineConfig, InferConfig, LogConfig
from edgeseg.config.export import ExportConfig
from edgeseg.config.section import Section
from edgeseg.config.training import DistillConfig, TrainConfig

CONFIG_NAME = "edgeseg.toml"


class SiteConfig(Section):
    """All of `edgeseg.toml`."""

    name: str = Field("site", description="Name of the site in reports and bundles.")
    classes: tuple[ClassSpec, ...] = Field(
        min_length=2,
        max_length=64,
        description="The classes in the order of their ids, from 0; masks hold these ids, and 255 "
        "where nothing is labelled.",
    )
    data: DataConfig = Field(
        DataConfig(), description="From footage to frames, and from labels to splits."
    )
    train: TrainConfig = Field(
        TrainConfig(),
        description="The site model, trained on labelled and unlabelled frames by `edgeseg train`.",
    )
    distill: DistillConfig = Field(
        DistillConfig(),
        description="The small edge model, which `edgeseg distill` trains to follow the site "
        "model.",
    )
    export: ExportConfig = Field(
        ExportConfig(),
        description="The bundle that `edgeseg export` writes, and the gates it must pass.",
    )
    infer: InferConfig = Field(
        InferConfig(), description="The device that runs a bundle with `edgeseg infer`."
    )
    engine: EngineConfig = Field(
        EngineConfig(), description="TensorRT engines, which a device builds for itself."
    )
    log: LogConfig = Field(
        LogConfig(), description="The frame log, the frames that a device keeps to be sent home."
    )
    adapt: AdaptConfig = Field(
        AdaptConfig(), description="One round of the adaptation loop, `edgeseg adapt`."
    )

    @model_validator(mode="after")
    def _distinct(self) -> SiteConfig:
        for what in ("name", "color"):
            values = [getattr(spec, what).lower() for spec in self.classes]
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"classes share the {what} {', '.join(twice)}")
        return self

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes in the order of their ids."""
        return tuple(spec.name for spec in self.classes)

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """The RGB colors of the classes in the order of their ids."""
        return tuple(spec.rgb for spec in self.classes)
