"""Networks that are raced as they are: an ONNX file from random weights, frame to class map."""

from __future__ import annotations

from pathlib import Path

from benchmarks.race.speed import RaceError

LRASPP = "torchvision lraspp_mobilenet_v3_large"


def export_lraspp(target: Path, classes: int, size: tuple[int, int]) -> Path:
    """Write torchvision's LR-ASPP on MobileNetV3 once: (1, 3, H, W) float32 to (1, H, W) uint8.

    Raises:
        RaceError: torchvision is not installed.
    """
    if target.exists():
        return target
    import torch

    try:
        from torchvision.models.segmentation import lraspp_mobilenet_v3_large
    except ImportError:
        raise RaceError(
            "torchvision, whose LR-ASPP is to be raced, is not installed; "
            "pip install torchvision, or leave --lraspp out"
        ) from None

    class ClassMap(torch.nn.Module):
        """The network down to the class of each pixel."""

        def __init__(self) -> None:
            super().__init__()
            self.network = lraspp_mobilenet_v3_large(
                weights=None, weights_backbone=None, num_classes=classes
            )

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.network(image)["out"]
            return logits.argmax(1).to(torch.uint8)

    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_suffix(".tmp")
    example = (torch.zeros(1, 3, *size),)
    torch.onnx.export(ClassMap().eval(), example, beside, dynamo=True, external_data=False)
    return beside.replace(target)
