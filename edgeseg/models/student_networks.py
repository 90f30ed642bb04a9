"""The students: edge networks that `edgeseg bench --students` times, to choose what ships from.

docs/students.md tells them apart. A student is named by `arch` and `encoder`, and any pair that
`edgeseg.models.build_network` can build may be one.
"""

from __future__ import annotations

from typing import NamedTuple

# Networks of this project from end to end, which start from random weights.
WITHOUT_WEIGHTS = ("stdc", "ddrnet", "edgenet")


class Student(NamedTuple):
    """The two names that `edgeseg.models.build_network` takes."""

    arch: str
    encoder: str


STUDENTS = (
    Student("deeplabv3plus", "mobilenetv2_100"),
    Student("deeplabv3plus_096", "mobilenetv2_100"),
    Student("lightfpn", "mobilenetv2_100"),
    Student("lightfpn", "tf_efficientnet_lite0"),
    Student("fpn", "mobilenetv2_100"),
    Student("unet", "mobilenetv2_100"),
    Student("lraspp", "mobilenetv2_100"),
    Student("deeplabv3plus", "tf_efficientnet_lite0"),
    Student("deeplabv3plus", "tf_efficientnet_lite1"),
    Student("deeplabv3plus", "tf_efficientnet_lite2"),
    Student("lraspp", "tf_efficientnet_lite0"),
    Student("fpn", "repvgg_a0"),
    Student("lraspp", "mobileone_s0"),
    Student("stdc", "stdc1_050"),
    Student("edgenet", "edgenet_100"),
    Student("edgenet", "edgenet_050"),
    Student("ddrnet", "ddrnet_075"),
)

# From the least to the most accurate after distillation on CamVid (benchmarks/RESULTS.md), those
# only that nothing beats in accuracy and INT8 time at once.
RANKED = (
    Student("edgenet", "edgenet_050"),
    Student("edgenet", "edgenet_100"),
    Student("lightfpn", "mobilenetv2_100"),
    Student("deeplabv3plus", "mobilenetv2_100"),
)
