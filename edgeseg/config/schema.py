"""The configuration of a site (`edgeseg.toml`): frozen pydantic models, every mistake told at once
by dotted path.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import tomli_w
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from edgeseg.config.method_catalogue import CATALOGUE, PLUGINS
from edgeseg.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG_NAME = "edgeseg.toml"
METHOD_NAMES = tuple(CATALOGUE)
ALIASES = {  # other names under which papers and people know them
    "mt": "mean_teacher",
    "cutmix": "cutmix_mt",
    "cutmix_seg": "cutmix_mt",
    "u2pl_cutmix": "u2pl",
    "fpl": "fpl_cps_cutmix",
    "st++": "stpp",
    "ps_mt": "psmt",
    "unimatchv2": "unimatch_v2",
    "dcc": "cac",
}
PLUGIN_NAMES = tuple(PLUGINS)
Precision = Literal["auto", "32", "bf16"]
S = TypeVar("S", bound=BaseModel)
Backend = Literal["auto", "cpu", "cuda", "tensorrt", "ort-tensorrt"]


def _size(value: Any) -> Any:  # Any: still unvalidated input
    return [value, value] if isinstance(value, int) else value


def _known(
    names: tuple[str, ...], aliases: Mapping[str, str] = MappingProxyType({})
) -> AfterValidator:
    def check(value: str) -> str:
        value = aliases.get(value, value)
        if value not in names:
            raise ValueError(f"there is no {value!r}; take one of {', '.join(names)}")
        return value

    return AfterValidator(check)


def _stride(size: tuple[int, int]) -> tuple[int, int]:
    if min(size) < 32 or all(
        any(side % step for side in size) for step in (8, 14)
    ):  # the network knows which
        raise ValueError(
            "height and width must be multiples of 32 (of 14 or 16 for some encoders), at least 32"
        )
    return size


Size = Annotated[
    tuple[int, int], BeforeValidator(_size), AfterValidator(_stride)
]  # (height, width); one number is a square


class Section(BaseModel):
    """One table of the file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassSpec(Section):
    """One class; its id is its place in the list."""

    name: str = Field(min_length=1)
    color: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")

    @property
    def rgb(self) -> tuple[int, int, int]:
        value = int(self.color[1:], 16)
        return value >> 16, value >> 8 & 255, value & 255


class DataConfig(Section):
    """How footage becomes frames and labels become splits."""

    fps: float = Field(1.0, gt=0)  # frames kept per second of video, before near-duplicates go
    near_duplicate: int = Field(
        4, ge=0, le=64
    )  # dHash bits that may differ for two frames to count as the same
    max_side: int = Field(1280, ge=64)  # frames are stored no larger than this
    val_share: float = Field(0.2, gt=0, lt=1)
    gate_share: float = Field(0.15, gt=0, lt=1)
    block_seconds: float = Field(20.0, gt=0)  # neighbors within a block stay in one split
    ignore_colors: tuple[str, ...] = ()  # colors of color masks that mean "not labelled"
    cache_bytes: int = Field(20_000_000_000, ge=0)  # of decoded frames in cache/; 0: none
    seed: int = 0


class U2PLConfig(Section):
    """U2PL's own numbers (methods.md 2.1)."""

    alpha: float = Field(
        0.2, ge=0, lt=1
    )  # share of unlabelled pixels called unreliable at the start
    per_class: bool = (
        True  # that share of each class; false: of all pixels together, as in the paper
    )
    low_rank: int = Field(3, ge=1)
    high_rank: int = Field(20, ge=2)
    threshold: float = Field(0.3, ge=0, lt=1)  # delta_p
    temperature: float = Field(0.5, gt=0)
    anchors: int = Field(256, ge=1)
    negatives: int = Field(50, ge=1)
    bank: int = Field(4096, ge=1)
    weight: float = Field(0.1, ge=0)


class AELConfig(Section):
    """AEL's own numbers (methods.md 2.4)."""

    keep: float = Field(0.999, ge=0, lt=1)  # of the confidence bank
    least_keep: float = Field(0.05, ge=0, le=1)  # a class is never sampled with a lower chance
    copy_paste: float = Field(0.5, ge=0, le=1)  # share of labelled frames that get a class pasted
    common: float = Field(
        0.2, gt=0, le=1
    )  # classes with a larger share of the labelled pixels are never pasted


class FPLConfig(Section):
    """FPL's own numbers (methods.md 2.3)."""

    mass: float = Field(
        0.9, gt=0, lt=1
    )  # T_u: so much probability the positives and the next class reach together
    most: int = Field(3, ge=1)  # positives of a pixel
    weight: Literal["none", "linear", "convex", "concave"] = "none"


class LoopConfig(Section):
    """What every training loop needs, whatever it trains."""

    arch: str = "deeplabv3plus"  # of segmentation-models-pytorch, or dpt, lraspp, stdc, ddrnet
    encoder: str = "mobilenetv2_100"  # any timm encoder, or for stdc and ddrnet their own
    weights: str = "imagenet"  # "imagenet", "none" or a .safetensors file
    imgsz: Size = (384, 512)
    steps: int = Field(4000, ge=1)
    batch: int = Field(4, ge=2)  # labelled frames a step; batch norm cannot do with one
    batch_unlabelled: int = Field(4, ge=1)
    accumulate: int = Field(
        1, ge=1
    )  # a batch goes through the network in so many parts, for want of memory
    # such as "6GB": take the fewest parts whose step needs no more; empty: `accumulate` holds
    max_memory: str = ""
    freeze_encoder: bool = False  # train the rest only: least memory
    checkpointing: bool = False  # compute the encoder's activations twice instead of keeping them
    encoder_lr: float = Field(2e-4, gt=0)
    decoder_lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-2, ge=0)
    scale: tuple[float, float] = (0.5, 2.0)  # random scale before the crop
    class_balance: float = Field(
        0.4, ge=0, le=1
    )  # loss weight of a labelled pixel ~ frequency of its class ** -class_balance
    ema: float = Field(0.99, ge=0, lt=1)
    eval_every: int = Field(200, ge=1)
    checkpoint_every: int = Field(200, ge=1)
    precision: Precision = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = Field(1, ge=1)  # of each machine; they share the batch
    nodes: int = Field(1, ge=1)  # machines, started by torchrun or a cluster's launcher
    workers: int = Field(2, ge=1)  # threads that read frames
    compile: bool = (
        False  # torch.compile of the student: minutes at the start, faster steps on a GPU
    )
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _divisible(self) -> LoopConfig:
        for size in (self.batch, self.batch_unlabelled):
            if size % self.accumulate:
                raise ValueError(
                    f"a batch of {size} frames cannot be split into accumulate = {self.accumulate} parts"
                )
        if self.batch < 2 * self.accumulate:
            raise ValueError(
                f"batch must be at least {2 * self.accumulate}: batch norm needs two frames in each part"
            )
        if self.freeze_encoder and self.checkpointing:
            raise ValueError(
                "freeze_encoder and checkpointing disagree: a frozen encoder keeps no activations; set one of them to "
                "false"
            )
        return self


class TrainConfig(LoopConfig):
    """The site model."""

    method: Annotated[str, _known(METHOD_NAMES, ALIASES)] = "cutmix_mt"
    plugins: tuple[
        Annotated[str, _known(PLUGIN_NAMES)], ...
    ] = ()  # added to the method, see `edgeseg methods`
    encoder: str = "resnet50"
    warmup: float = Field(
        0.2, ge=0, lt=1
    )  # share of the steps that are supervised only, while the teacher is poor
    ramp: float = Field(
        0.2, ge=0, le=1
    )  # share of the steps after it until the unlabelled loss has its full weight
    unlabelled_weight: float = Field(1.0, ge=0)
    confidence: float | None = Field(
        None, ge=0, lt=1
    )  # least probability of a pseudo-label; each method has its own
    cutmix: float = Field(0.5, ge=0, le=1)  # share of the steps with CutMix
    teacher: Literal["auto", "ema", "self"] = (
        "auto"  # who labels online: auto = what the method's paper says
    )
    strong: bool = True  # color, gray and blur on the student's view of unlabelled frames
    rep_dim: int = Field(256, ge=8)
    u2pl: U2PLConfig = U2PLConfig()
    ael: AELConfig = AELConfig()
    fpl: FPLConfig = FPLConfig()


class DistillConfig(LoopConfig):
    """The edge model."""

    steps: int = Field(3000, ge=1)
    encoder_lr: float = Field(4e-4, gt=0)
    decoder_lr: float = Field(2e-3, gt=0)
    scale: tuple[float, float] = (0.75, 1.5)
    temperature: float = Field(2.0, gt=0)
    kl_weight: float = Field(1.0, ge=0)


class ExportConfig(Section):
    """The bundle and the gates it must pass."""

    imgsz: Size | None = None  # input size of the graph; the edge model's own if left out
    int8: bool = False
    half: bool = False
    alpha: float = Field(0.2, gt=0, lt=1)  # share of val pixels above gamma
    calibration_frames: int = Field(64, ge=1)
    calibration: Literal["spread", "random", "kcentre", "classes"] = "spread"  # how they are chosen
    hard_share: float = Field(0.0, ge=0, le=1)  # of them that are the frames with the highest score
    max_drop: float = Field(0.3, ge=0)  # mIoU points INT8 may lose on val
    max_class_drop: float = Field(1.0, ge=0)  # IoU points that any class may lose on val
    min_speedup: float = Field(1.0, ge=0)  # INT8 against FP32 on this machine
    qat: bool = False  # train the codes if nothing else is accurate enough
    qat_steps: int = Field(300, ge=1)
    threads: int = Field(0, ge=0)
    seed: int = 0


class InferConfig(Section):
    """The device."""

    backend: Backend = "auto"
    precision: Literal["auto", "fp32", "int8", "fp16"] = "auto"
    threads: int = Field(0, ge=0)  # 0: as many as there are cores
    queue: int = Field(4, ge=1)  # frames that may wait between two stages


class EngineConfig(Section):
    """TensorRT engines, which a device builds for itself."""

    workspace_mb: int = Field(512, ge=16, le=65_536)
    level: int = Field(3, ge=0, le=5)
    dla: int | None = Field(None, ge=0, le=3)
    timeout: int = Field(3600, ge=1)  # seconds; small boards take a quarter of an hour
    graphs: bool = True
    mapped: bool = True


class LogConfig(Section):
    """The frame log on the device."""

    max_bytes: int = Field(2_000_000_000, ge=1_000_000)
    min_free_bytes: int = Field(500_000_000, ge=0)
    per_hour: int = Field(60, ge=1)
    near_duplicate: int = Field(4, ge=0, le=64)
    random_share: float = Field(0.08, ge=0, le=1)  # share of records that are a random control
    threshold: float | None = Field(
        None, ge=0, le=1
    )  # least score worth logging; the bundle's own if left out
    jpeg_quality: int = Field(92, ge=50, le=100)


class AdaptConfig(Section):
    """One round of the adaptation loop."""

    min_records: int = Field(20, ge=1)
    max_records: int = Field(2000, ge=1)
    train_steps: int = Field(2000, ge=1)
    distill_steps: int = Field(1500, ge=1)
    max_drop: float = Field(
        0.2, ge=0
    )  # mIoU points the challenger may lose on gate, beyond which it is rejected
    max_class_drop: float = Field(3.0, ge=0)
    draws: int = Field(2000, ge=100)
    block: int = Field(1, ge=1)
    min_fps: float = Field(0.0, ge=0)


class SiteConfig(Section):
    """All of `edgeseg.toml`."""

    name: str = "site"
    classes: tuple[ClassSpec, ...] = Field(min_length=2, max_length=64)
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    distill: DistillConfig = DistillConfig()
    export: ExportConfig = ExportConfig()
    infer: InferConfig = InferConfig()
    engine: EngineConfig = EngineConfig()
    log: LogConfig = LogConfig()
    adapt: AdaptConfig = AdaptConfig()

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
        return tuple(spec.name for spec in self.classes)

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        return tuple(spec.rgb for spec in self.classes)


def load_config(path: Path, overrides: list[str] | None = None) -> SiteConfig:
    """Read `path` and lay `overrides` ("train.steps=2000") over it.

    Raises:
        ConfigError: the file is missing, is no TOML, or holds keys or values that cannot be.
    """
    return load_saved_config(SiteConfig, path, overrides)


def load_saved_config(model: type[S], path: Path, overrides: list[str] | None = None) -> S:
    """Read a TOML file that holds all of `model`, such as the `config.toml` beside a run.

    Raises:
        ConfigError: the file is missing, is no TOML, or holds keys or values that cannot be.
    """
    try:
        table = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist; run `edgeseg init {path.parent}` to make one"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read as TOML: {error}; correct it or start anew with `edgeseg init`"
        ) from None
    return apply_overrides(model, table, overrides, str(path))


def apply_overrides(
    model: type[S], table: dict[str, Any], overrides: list[str] | None, source: str
) -> S:  # Any: TOML values
    """Lay `overrides` over `table` and build `model`; for a place without an edgeseg.toml as well.

    Raises:
        ConfigError: with all mistakes in one sentence that begins with `source`, or tells that it
            was the overrides.
    """
    changed = copy.deepcopy(table)
    for text in overrides or []:
        _override(changed, text)
    try:
        return validate_config(model, changed, source)
    except ConfigError:
        if not overrides:
            raise
        validate_config(model, table, source)  # its own mistakes come first
        return validate_config(model, changed, "the command line")


def _override(table: dict[str, Any], text: str) -> None:  # Any: TOML values
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} is not KEY=VALUE; write it like --set train.steps=2000")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw  # a bare word: a string without its quotes
    *parents, last = key.strip().split(".")
    for name in parents:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {text!r}: {name} is no table; see edgeseg.toml for the keys")
    table[last] = value


def validate_config(model: type[S], values: Any, source: str) -> S:  # Any: unvalidated input
    """Build `model` from `values`, naming every mistake by its dotted path.

    Raises:
        ConfigError: with all mistakes in one sentence.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        )
        raise ConfigError(
            f"{source} has {error.error_count()} mistake(s): {faults}; correct them and run again"
        ) from None


def to_toml(config: BaseModel) -> str:
    """`config` as TOML, complete with every default."""
    return tomli_w.dumps(config.model_dump(mode="json", exclude_none=True))
