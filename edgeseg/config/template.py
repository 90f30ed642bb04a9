"""The `edgeseg.toml` that `edgeseg init` writes: every key with its default and a comment, defaults
commented out.

Defaults are taken from the models of `edgeseg.config`; only the comments are written here.
"""

from __future__ import annotations

import colorsys
import sys
from collections.abc import Sequence
from pathlib import Path

import tomli_w
from pydantic import BaseModel

from edgeseg.atomic_files import write_atomic
from edgeseg.config import CONFIG_NAME, SiteConfig, validate_config
from edgeseg.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_CLASSES = ("background", "object")
COLORS = (
    "#4d4d4d",
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#f0e442",
    "#0072b2",
    "#d55e00",
    "#cc79a7",
    "#7a3e00",
    "#7fdbca",
    "#b10dc9",
    "#ffffff",
)  # told apart by most eyes; further ones are computed
TITLES = {
    "data": "from footage to frames, from labels to splits",
    "train": "the site model",
    "train.u2pl": "of method u2pl",
    "distill": "the edge model",
    "export": "the bundle, and the gates it must pass",
    "infer": "the device",
    "engine": "TensorRT engines, which a device builds for itself",
    "log": "the frame log on the device",
    "adapt": "one round of the adaptation loop",
}
_LOOP = {
    "arch": "decoder, a name of segmentation-models-pytorch or lraspp; dpt for vision transformers; stdc, ddrnet",
    "encoder": "any timm encoder; vit_small_patch14_dinov2 with arch dpt, stdc1_050 with stdc, ddrnet_075 with ddrnet",
    "weights": '"imagenet" (downloaded), "none", or a .safetensors file',
    "imgsz": "height and width the model is trained at; multiples of 32, of 14 for DINOv2",
    "steps": "optimizer steps",
    "batch": "labelled frames a step, on all devices together",
    "batch_unlabelled": "unlabelled frames a step",
    "accumulate": "parts that a batch goes through the network in, one after the other, for want of memory",
    "max_memory": 'such as "6GB": as few parts as keep a step below it; empty: accumulate holds',
    "freeze_encoder": "for little memory: keep the encoder as it is, with good weights such as DINOv2's",
    "checkpointing": "for less memory at about a third more time: the encoder's activations are computed twice",
    "encoder_lr": "learning rate of the encoder; 5e-6 for DINOv2",
    "decoder_lr": "learning rate of the rest",
    "weight_decay": "of AdamW",
    "scale": "random scale before the crop",
    "class_balance": "loss weight of a labelled pixel ~ frequency of its class ** -class_balance",
    "ema": "share of the averaged model kept each step",
    "eval_every": "steps between evaluations on val",
    "checkpoint_every": "steps between checkpoints; a killed run resumes from the last",
    "precision": '"auto", "32" or "bf16"',
    "device": '"auto", "cpu" or "cuda"',
    "devices": "GPUs to train on, of each machine",
    "nodes": "machines to train on, each started by torchrun or the like",
    "workers": "threads that load frames",
    "compile": "torch.compile of the student: minutes at the start, faster steps on a GPU",
    "seed": "the same seed gives the same run",
}
COMMENTS: dict[str, dict[str, str]] = {
    "data": {
        "fps": "frames looked at per second of video; images of a folder count as 1/fps seconds apart",
        "near_duplicate": "frames that differ in no more bits of 64 count as the same",
        "max_side": "larger frames are made smaller, in pixels",
        "val_share": "share of labels that tunes and is reported",
        "gate_share": "share of labels kept to judge a new bundle, never trained or tuned on",
        "block_seconds": "neighbors within a block stay in one split",
        "ignore_colors": 'colors of color masks that mean not labelled, like ["#000000"]',
        "cache_bytes": "decoded frames kept in cache/, which may be deleted at any time; 0 for none",
        "seed": "of the automatic split",
    },
    "train": {
        **_LOOP,
        "method": "see `edgeseg methods`, and compare them with `edgeseg compare`",
        "plugins": "added to the method, see `edgeseg methods`",
        "teacher": '"ema" or "self" labels online; auto: what the paper of the method says',
        "warmup": "share of the steps that are supervised only, while the teacher is poor",
        "ramp": "share of the steps after it until the unlabelled loss has its full weight",
        "unlabelled_weight": "of the unlabelled loss",
        "confidence": "pseudo-labels below it are ignored; the method's own if unset",
        "cutmix": "share of the steps with CutMix",
        "strong": "strong color changes on what the student sees of unlabelled frames",
        "rep_dim": "channels of the representation head",
    },
    "train.u2pl": {
        "alpha": "share of unlabelled pixels called unreliable at the start",
        "per_class": "that share of every class by itself, so that rare ones keep pseudo-labels; false: the paper",
        "low_rank": "ranks of class probability between which an unreliable pixel is a negative",
        "high_rank": "see low_rank",
        "threshold": "least probability of an anchor pixel",
        "temperature": "of the contrastive loss",
        "anchors": "pixels of each class compared each step",
        "negatives": "pixels each anchor is compared with",
        "bank": "negatives kept for each class",
        "weight": "of the contrastive loss",
    },
    "train.ael": {
        "keep": "how slowly the confidence of a class moves",
        "least_keep": "pseudo-labels of a class are kept with at least this chance",
        "copy_paste": "share of labelled frames that get a class pasted in",
        "common": "classes with a larger share of the labelled pixels are never pasted",
    },
    "train.fpl": {
        "mass": "probability that the positives of a pixel and the next class reach together",
        "most": "positives of a pixel at most",
        "weight": '"none", "linear", "convex" or "concave": pixels that are sure count more',
    },
    "distill": {
        **_LOOP,
        "temperature": "both models are softened by it",
        "kl_weight": "of following the site model, beside the labels",
    },
    "export": {
        "imgsz": "height and width of the graph's input; the edge model's own if unset",
        "int8": "also write the INT8 file",
        "half": "also write the FP16 file",
        "alpha": "share of val pixels to count as unreliable",
        "calibration_frames": "unlabelled frames that set the INT8 ranges",
        "calibration": 'how they are chosen: "spread" over cameras and time, "random", "kcentre" or "classes"',
        "hard_share": "of them that are the frames with the highest score",
        "max_drop": "mIoU points INT8 may lose on val",
        "max_class_drop": "IoU points that any class may lose there",
        "min_speedup": "of INT8 against FP32 on this machine",
        "qat": "train the INT8 codes for a while if nothing else is accurate enough",
        "qat_steps": "of that training, two frames each",
        "threads": "of the timing; 0 for all cores",
        "seed": "of the choice of frames",
    },
    "infer": {
        "backend": '"auto", "cpu", "cuda", "tensorrt" or "ort-tensorrt"',
        "precision": '"auto", "fp32", "int8" or "fp16"',
        "threads": "0 for all cores",
        "queue": "frames that may wait between two stages",
    },
    "engine": {
        "workspace_mb": "scratch memory that a layer may use",
        "level": "how long TensorRT searches for kernels, 0 to 5",
        "dla": "core of the deep-learning accelerator; the GPU alone if unset",
        "timeout": "seconds that a build may take",
        "graphs": "replay frames as CUDA graphs",
        "mapped": "share memory between CPU and GPU where a board can",
    },
    "log": {
        "max_bytes": "the frame log never grows beyond",
        "min_free_bytes": "and leaves so much of the disk free",
        "per_hour": "frames logged in an hour at most, a sixth of them at once",
        "near_duplicate": "as in [data]",
        "random_share": "share of logged frames drawn at random, as a control",
        "threshold": "least score worth logging; the bundle's own if unset",
        "jpeg_quality": "of logged frames",
    },
    "adapt": {
        "min_records": "logged frames a round needs",
        "max_records": "logged frames a round takes",
        "train_steps": "for the site model",
        "distill_steps": "for the edge model",
        "max_drop": "mIoU points a new bundle may lose on gate",
        "max_class_drop": "and IoU points any class may lose",
        "draws": "of the bootstrap that compares the bundles",
        "block": "neighboring gate frames drawn together; more for dense video",
        "min_fps": "that a new bundle must reach here",
    },
}


def default_colors(number: int) -> tuple[str, ...]:
    """Distinct colors as "#rrggbb", any number up to 64."""
    colors = list(COLORS[:number])
    step = 0
    while (
        len(colors) < number
    ):  # turns of the golden angle never meet; brightness and saturation alternate
        step += 1
        hue, saturation, value = (
            step * 0.618034 % 1,
            (0.9, 0.55)[step // 3 % 2],
            (0.95, 0.7, 0.45)[step % 3],
        )
        color = "#" + "".join(
            f"{round(255 * part):02x}" for part in colorsys.hsv_to_rgb(hue, saturation, value)
        )
        if all(_color_distance(color, other) >= 36 for other in colors):
            colors.append(color)
    return tuple(colors)


def _color_distance(one: str, other: str) -> int:
    return sum(abs(int(one[i : i + 2], 16) - int(other[i : i + 2], 16)) for i in (1, 3, 5))


def render_template(name: str, classes: Sequence[str]) -> str:
    """A complete `edgeseg.toml`.

    Raises:
        ConfigError: the names are empty, too few, too many, or given twice.
    """
    colors = default_colors(len(classes))
    lines = [
        "# A site of edgeseg. What starts with `# key =` is the default; take the # away to change it.",
        "# Any key can be set for one command alone: --set train.steps=2000",
        "",
        f"name = {_value(name)}",
        "",
        "# The classes in the order of their ids, from 0; masks hold these ids, and 255 where nothing is labelled.",
        "# Colors are for pictures, and for masks that were painted in them.",
        "classes = [",
        *(
            f'    {{ name = {_value(spec)}, color = "{color}" }},'
            for spec, color in zip(classes, colors)
        ),
        "]",
    ]
    for key, field in SiteConfig.model_fields.items():
        if isinstance(field.default, BaseModel):
            lines += _section(key, field.default)
    text = "\n".join(lines) + "\n"
    validate_config(SiteConfig, tomllib.loads(text), "the new site")
    return text


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return tomli_w.dumps({"x": value}).strip().removeprefix("x = ")


def _section(path: str, section: BaseModel) -> list[str]:
    lines = ["", f"[{path}]  # {TITLES[path]}" if path in TITLES else f"[{path}]"]
    nested: list[str] = []
    for key in type(section).model_fields:
        value = getattr(section, key)
        if isinstance(value, BaseModel):
            nested += _section(f"{path}.{key}", value)
            continue
        default = f"# {key} is unset" if value is None else f"# {key} = {_value(value)}"
        lines.append(
            f"{default:<36}  # {COMMENTS[path][key]}" if key in COMMENTS.get(path, {}) else default
        )
    return lines + nested


def create_site(
    folder: Path, classes: Sequence[str] = DEFAULT_CLASSES, name: str | None = None
) -> Path:
    """Make `folder` a site.

    Args:
        classes: names, ids in this order.
        name: of the site; the folder's without any.

    Returns:
        The path of the new `edgeseg.toml`.

    Raises:
        ConfigError: it is a site already, cannot be written, or the classes cannot be.
    """
    path = folder / CONFIG_NAME
    if path.exists():
        raise ConfigError(f"{path} exists; edit it, or choose another folder")
    text = render_template(
        name or folder.resolve().name or "site", [spec.strip() for spec in classes]
    )
    try:
        write_atomic(path, text.encode())
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}); choose a folder that you may write to"
        ) from None
    return path
