"""What is weighed against what: an edge network at an input size."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from edgeseg.config import DistillConfig, named_students, validate_config
from edgeseg.errors import ConfigError
from edgeseg.models.student_networks import WITHOUT_WEIGHTS, Student

Size = tuple[int, int]


class Candidate(NamedTuple):
    """A student at an input size.

    Attributes:
        student: Its arch and encoder.
        size: (height, width) in pixels.
    """

    student: Student
    size: Size

    @property
    def name(self) -> str:
        """ "lightfpn/mobilenetv2_100 at 384x512"."""
        return f"{'/'.join(self.student)} at {self.size[0]}x{self.size[1]}"

    @property
    def folder_name(self) -> str:
        """The name as part of a file's."""
        return f"{'-'.join(self.student)}-{self.size[0]}x{self.size[1]}"


def candidates_of(students: Sequence[Student], sizes: Sequence[Size]) -> tuple[Candidate, ...]:
    """Return every student at every size, each once."""
    pairs = itertools.product(students, sizes)
    return tuple(dict.fromkeys(Candidate(student, size) for student, size in pairs))


def parse_student(text: str) -> Student:
    """Return the student of "ARCH/ENCODER", or of a name such as "fast".

    Raises:
        ConfigError: The text is neither.
    """
    named = named_students.NAMED_STUDENTS.get(text)
    if named is not None:
        return Student(named["arch"], named["encoder"])
    arch, slash, encoder = text.partition("/")
    if not (arch and slash and encoder):
        names = ", ".join(named_students.NAMED_STUDENTS)
        raise ConfigError(
            f"--student {text!r} is not ARCH/ENCODER; write it like --student "
            f"lraspp/mobilenetv2_100, or take one of {names}"
        )
    return Student(arch, encoder)


def distill_command(candidate: Candidate, config: DistillConfig) -> str:
    """Return the command that distils a candidate for good."""
    arch, encoder = candidate.student
    height, width = candidate.size
    size = "" if candidate.size == tuple(config.imgsz) else f" --imgsz {height}x{width}"
    if name := named_students.name_of(arch, encoder):
        return f"edgeseg distill --student {name}{size}"
    own = f" --weights none --set distill.encoder_lr={config.decoder_lr:g}"
    scratch = own if arch in WITHOUT_WEIGHTS else ""
    return f"edgeseg distill --encoder {encoder}{scratch} --set distill.arch={arch}{size}"


def distill_settings(
    config: DistillConfig,
    candidate: Candidate,
    *,
    steps: int,
    seed: int,
    weights: Mapping[str, str],
) -> DistillConfig:
    """Return the settings with which a candidate is distilled.

    Students without published weights start from random ones and learn at the decoder's rate.

    Args:
        config: The site's.
        weights: Where encoders start, by name: "imagenet", "none" or a file. The site's own
            encoder starts where the site says, others from "imagenet".

    Raises:
        ConfigError: The settings disagree.
    """
    arch, encoder = candidate.student
    usual = "none" if arch in WITHOUT_WEIGHTS else "imagenet"
    start = weights.get(encoder, config.weights if encoder == config.encoder else usual)
    changes: dict[str, Any] = {  # Any: values of settings
        "student": "",
        "arch": arch,
        "encoder": encoder,
        "weights": start,
        "imgsz": candidate.size,
        "steps": steps,
        "seed": seed,
    }
    changes["eval_every"] = min(config.eval_every, steps)
    if start == "none":
        changes["encoder_lr"] = config.decoder_lr
    elif config.weights == "none":  # whose rate is one for random weights
        changes["encoder_lr"] = DistillConfig().encoder_lr
    changes |= {"devices": 1, "nodes": 1}  # processes that torch starts would run the trials anew
    return validate_config(DistillConfig, config.model_dump() | changes, candidate.name)
