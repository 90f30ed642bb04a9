"""The tables `[train]` and `[distill]`: the site model and the edge model."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from edgeseg.config.method_catalogue import CATALOGUE, METHOD_KEYS, PLUGINS, keys_read
from edgeseg.config.method_settings import AELConfig, FPLConfig, U2PLConfig
from edgeseg.config.named_students import StudentName, fill_in
from edgeseg.config.section import Section, Size, Unit, one_of

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
TRACKER_NAMES = ("mlflow", "wandb")  # beside TensorBoard, which every run has

# Fields of LoopConfig to which [train] or [distill] give another default; the text stands once.
Encoder = Annotated[
    str,
    Field(
        description="Encoder: any name of timm; stdc1_050 and the like with arch stdc, ddrnet_075 "
        "and the like with ddrnet, vit_small_patch14_dinov2 and the like with dpt."
    ),
]
Steps = Annotated[
    int,
    Unit("optimizer steps"),
    Field(ge=1, description="Length of the training. Raise it for many classes or much footage."),
]
EncoderRate = Annotated[
    float,
    Field(
        gt=0,
        description="Learning rate of the encoder at its peak; take 5e-6 for a DINOv2 encoder.",
    ),
]
DecoderRate = Annotated[
    float, Field(gt=0, description="Learning rate of the rest of the network at its peak.")
]
ScaleRange = Annotated[
    tuple[float, float],
    Field(description="Smallest and largest random scale of a frame before it is cropped."),
]


class LoopConfig(Section):
    """The part of a training that does not depend on what is trained."""

    WATCHING: ClassVar[tuple[str, ...]] = ("trackers",)

    arch: str = Field(
        "deeplabv3plus",
        description="Decoder: a name of segmentation-models-pytorch, lightfpn, lraspp, stdc, "
        "edgenet or ddrnet, or dpt for vision transformers; deeplabv3plus_096 has 96 channels; "
        "`edgeseg bench --students` times those for small devices.",
    )
    encoder: Encoder = "mobilenetv2_100"
    weights: str = Field(
        "imagenet",
        description="Weights that the encoder starts from: imagenet (of an installed weight "
        "package, such as the extra weights has, else downloaded by timm), none, or the path of a "
        ".safetensors file.",
    )
    imgsz: Size = Field(
        (384, 512),
        description="Height and width that the network is trained at, multiples of 32 (of 14 for "
        "DINOv2); one number is a square. Smaller is faster and loses small things.",
    )
    steps: Steps = 4000
    batch: Annotated[int, Unit("frames")] = Field(
        4,
        ge=2,
        description="Labelled frames of one step, on all devices together; batch normalization "
        "needs two at least on each.",
    )
    batch_unlabelled: Annotated[int, Unit("frames")] = Field(
        4, ge=1, description="Unlabelled frames of one step, on all devices together."
    )
    accumulate: Annotated[int, Unit("parts")] = Field(
        1,
        ge=1,
        description="Parts in which a batch goes through the network, one after the other, when "
        "memory is short.",
    )
    max_memory: str = Field(
        "",
        description="Memory that a step may need, such as 6GB: the batch is split into as few "
        "parts as fit. Empty leaves the number of parts to accumulate.",
    )
    freeze_encoder: bool = Field(
        False,
        description="Keep the encoder as it is and train the rest only, which needs least memory; "
        "for good weights such as those of DINOv2.",
    )
    checkpointing: bool = Field(
        False,
        description="Compute the encoder's activations twice instead of keeping them: less memory "
        "for about a third more time.",
    )
    encoder_lr: EncoderRate = 2e-4
    decoder_lr: DecoderRate = 1e-3
    weight_decay: float = Field(1e-2, ge=0, description="Weight decay of the AdamW optimizer.")
    scale: ScaleRange = (0.5, 2.0)
    class_balance: float = Field(
        0.4,
        ge=0,
        le=1,
        description="The loss weight of a labelled pixel is proportional to the frequency of its "
        "class to the power of -class_balance: 0 weighs all alike, 1 helps rare classes most.",
    )
    ema: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="Momentum of the exponential moving average of the weights, which is the "
        "teacher and the model that is evaluated and shipped; 0 takes the trained network itself.",
    )
    eval_every: Annotated[int, Unit("steps")] = Field(
        200,
        ge=1,
        description="Distance between two evaluations on the val frames; they watch, the weights "
        "of the last step ship unless the training fell.",
    )
    eval_frames: Annotated[int, Unit("frames")] = Field(
        200,
        ge=1,
        description="Most val frames of an evaluation between steps, evenly spread over val; fewer "
        "where so many would cost more than a tenth of the steps between two evaluations. The last "
        "evaluation takes all of them.",
    )
    eval_student: bool = Field(
        False,
        description="Evaluate the student as well as its moving average, which is what ships, for "
        "twice the time.",
    )
    checkpoint_every: Annotated[int, Unit("steps")] = Field(
        200,
        ge=1,
        description="Distance between two checkpoints; a killed run goes on from the last one.",
    )
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto",
        description="Arithmetic of the training: float32 or bfloat16; auto takes bfloat16 where "
        "the device has it in hardware.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Kind of device to train on; auto takes a GPU where there is one."
    )
    devices: Annotated[int, Unit("GPUs")] = Field(
        1, ge=1, description="GPUs of each machine, which share the batch."
    )
    nodes: Annotated[int, Unit("machines")] = Field(
        1,
        ge=1,
        description="Machines that train together, each started by torchrun or the launcher of a "
        "cluster.",
    )
    workers: Annotated[int, Unit("threads")] = Field(
        2, ge=1, description="Threads that read frames; raise it when the GPU waits for frames."
    )
    trackers: tuple[Annotated[str, one_of(TRACKER_NAMES)], ...] = Field(
        (),
        description="Trackers that get the figures and pictures of a run beside TensorBoard: "
        "mlflow, wandb. Both write into tracking/ of the site and send nothing, unless "
        "MLFLOW_TRACKING_URI or WANDB_MODE say otherwise.",
    )
    compile: bool = Field(
        False,
        description="Compile the student with torch.compile: minutes at the start, then faster "
        "steps on a GPU.",
    )
    seed: int = Field(
        0, ge=0, description="Seed of everything random; the same seed gives the same run on a CPU."
    )

    @model_validator(mode="after")
    def _divisible(self) -> LoopConfig:
        for size in (self.batch, self.batch_unlabelled):
            if size % self.accumulate:
                raise ValueError(
                    f"a batch of {size} frames cannot be split into "
                    f"accumulate = {self.accumulate} parts"
                )
        if self.batch < 2 * self.accumulate:
            raise ValueError(
                f"batch must be at least {2 * self.accumulate}: batch norm needs two frames in "
                "each part"
            )
        if self.freeze_encoder and self.checkpointing:
            raise ValueError(
                "freeze_encoder and checkpointing disagree: a frozen encoder keeps no "
                "activations; set one of them to false"
            )
        return self


class TrainConfig(LoopConfig):
    """The training of the site model."""

    BEFORE: ClassVar[Mapping[str, Any]] = {"propagation": False}  # Any: TOML values

    method: Annotated[str, one_of(METHOD_NAMES, ALIASES)] = Field(
        "cutmix_mt",
        description="Training method; `edgeseg methods` lists them and `edgeseg compare` tells "
        "which one suits the site.",
    )
    plugins: tuple[Annotated[str, one_of(PLUGIN_NAMES)], ...] = Field(
        (), description="Plug-ins that are added to the method; `edgeseg methods` lists them."
    )
    encoder: Encoder = "resnet50"
    warmup: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Share of the steps at the start that learn from labelled frames only, while "
        "pseudo-labels would be poor.",
    )
    ramp: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of the steps after the warm-up over which the unlabelled loss grows to "
        "its full weight.",
    )
    unlabelled_weight: float = Field(
        1.0, ge=0, description="Full weight of the unlabelled loss beside the supervised one."
    )
    confidence: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Least probability at which a pseudo-label counts; each method has its own "
        "when it is unset.",
    )
    cutmix: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the steps (of the frames, in fixmatch and unimatch*) in which two "
        "unlabelled frames are mixed; each method has its own when it is unset.",
    )
    propagation: bool = Field(
        True,
        description="Carry labels to unlabelled frames that show the same things, by optical flow; "
        "there they take the place of online pseudo-labels.",
    )
    teacher: Literal["auto", "ema", "self"] = Field(
        "auto",
        description="Network that gives online pseudo-labels: the moving average (ema) or the "
        "student itself (self); auto takes what the paper of the method says.",
    )
    strong: bool = Field(
        True,
        description="Strong changes of color, gray and blur on the student's view of unlabelled "
        "frames; turn it off where color alone tells the classes apart.",
    )
    rep_dim: Annotated[int, Unit("channels")] = Field(
        256, ge=8, description="Width of the representation head, in methods that have one."
    )
    u2pl: U2PLConfig = Field(
        U2PLConfig(),
        description="Numbers of the methods u2pl and u2pl_ael, and of the plug-in u2pl_contrast.",
    )
    ael: AELConfig = Field(
        AELConfig(),
        description="Numbers of the methods ael, u2pl_ael and fpl_ael, and of the plug-in ael.",
    )
    fpl: FPLConfig = Field(
        FPLConfig(), description="Numbers of the methods fpl_*, and of the plug-in fpl."
    )

    def idle_settings(self) -> dict[str, Any]:  # Any: values of every kind
        """The keys that have another value than the default and do nothing in the method."""
        # --batch sets both batches.
        usual = type(self)().model_copy(update={"batch_unlabelled": self.batch})
        idle = METHOD_KEYS - keys_read(self.method, self.plugins)
        values = {key: attrgetter(key)(self) for key in sorted(idle)}
        return {key: value for key, value in values.items() if value != attrgetter(key)(usual)}


class DistillConfig(LoopConfig):
    """The training of the edge model, which learns from the site model."""

    student: Literal["", StudentName] = Field(
        "",
        description="Edge network by name: fast, balanced or accurate stand for an arch and an "
        "encoder, and the weights and rate that suit them; `edgeseg bench --students` times them. "
        "Empty takes arch and encoder as they are.",
    )
    steps: Steps = 3000
    encoder_lr: EncoderRate = 4e-4
    decoder_lr: DecoderRate = 2e-3
    scale: ScaleRange = (0.75, 1.5)
    temperature: float = Field(
        2.0,
        gt=0,
        description="Temperature that softens the outputs of both models before the edge model "
        "imitates the site model.",
    )
    kl_weight: float = Field(
        1.0, ge=0, description="Weight of imitating the site model beside learning from the labels."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_student(cls, values: Any) -> Any:  # Any: still unvalidated input
        return fill_in(values) if isinstance(values, dict) else values
