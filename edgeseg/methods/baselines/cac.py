"""CAC, also called DCC (Lai et al., CVPR 2021, arXiv 2106.14133): a place looks alike in whatever
surroundings.

Two windows of every unlabelled frame overlap. In the overlap the less confident view of a place is
pulled to the more confident one, and away from places of other pseudo-labels in all windows of the
step. Simplified: both windows are equally large and enlarged to the size of a frame, the overlap is
sampled at random places instead of densely, and no memory of earlier steps is kept (neither does
the official setting for Cityscapes).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.data.augment import strong_augment
from edgeseg.distributed import all_gather
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.cac_directional import directional_contrast
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import everything

WINDOW = 0.65  # of a frame's height and width; the boxes' intersection over union is then 0.12 to 1
PLACES = 256  # sampled in the overlap of each frame, and as many in each window for negatives
PROJECTED = 128
WEIGHT, CONFIDENCE = 0.1, 0.75


class CAC(OnlineMethod):
    """3B images with gradient, B without."""

    def __init__(self, kit: MethodContext) -> None:
        super().__init__(kit, (), select=everything, scale=WEIGHT)
        width = kit.student.classifier.in_channels
        self.projector = nn.Sequential(
            nn.Linear(width, PROJECTED), nn.ReLU(), nn.Linear(PROJECTED, PROJECTED)
        )
        self._least = CONFIDENCE if kit.config.confidence is None else kit.config.confidence

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.without_footage(labelled)
        number = len(labelled.images)
        self.teacher_forward(unlabelled.images)
        centers = (1 - WINDOW) * (
            2 * torch.rand(2, len(unlabelled.images), 2, device=unlabelled.images.device) - 1
        )
        windows = torch.cat([window(unlabelled.images, center) for center in centers])
        if self._color:
            windows = strong_augment(windows)
        decoded = self.student.decoder(
            self.student.encode(self.normalize(torch.cat([labelled.images, windows])))
        )
        logits = self.student.classifier(decoded)
        supervised = self.supervise(logits[:number], labelled)
        contrast = self._contrast(
            decoded[number:], logits[number:].detach(), centers, unlabelled.valid
        )
        loss = supervised + weight * contrast
        return StepResult(
            loss, {"supervised": supervised.detach(), "unlabelled": contrast.detach()}
        )

    def _contrast(self, decoded: Tensor, logits: Tensor, centers: Tensor, valid: Tensor) -> Tensor:
        """The loss () of maps (2B, D, h, w) of both windows around `centers` (2, B, 2) of frames,
        valid (B, H, W).
        """
        probability = logits.float().softmax(1)
        low, high = centers.amax(0) - WINDOW, centers.amin(0) + WINDOW
        place = low[:, None] + (high - low)[:, None] * torch.rand(
            len(valid), PLACES, 2, device=valid.device
        )
        inside = ((place - centers[:, :, None]) / WINDOW).flatten(
            0, 1
        )  # (2B, P, 2): one place as each window has it
        one, other = self.projector(sample(decoded, inside)).chunk(2)
        confidence, label = sample(probability, inside).max(1)
        (sure_one, sure_other), (label_one, label_other) = confidence.chunk(2), label.chunk(2)

        with torch.no_grad():
            elsewhere = 2 * torch.rand_like(inside) - 1
            negatives = self.projector(sample(decoded, elsewhere))
            spot = elsewhere * WINDOW + centers.flatten(0, 1)[:, None]
            known = _nearest(valid.repeat(2, 1, 1), spot)
            negative_labels = sample(probability, elsewhere).argmax(1).masked_fill(~known, IGNORE)
        return directional_contrast(
            one,
            other,
            sure_one,
            sure_other,
            label_one,
            label_other,
            _nearest(valid, place),
            all_gather(negatives).flatten(0, 1),
            all_gather(negative_labels).flatten(),
            self._least,
        )


def window(images: Tensor, center: Tensor) -> Tensor:
    """The part of (B, 3, H, W) frames around `center` (B, 2), x and y in -1..1, enlarged to the
    whole size.
    """
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = WINDOW
    theta[:, :, 2] = center
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def sample(maps: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """Maps (B, D, h, w) at `places` (B, P, 2), x and y in -1..1: (B P, D) float32."""
    found = F.grid_sample(
        maps.float(), places[:, :, None], mode=mode, padding_mode="border", align_corners=False
    )
    return found[..., 0].movedim(1, 2).flatten(0, 1)


def _nearest(valid: Tensor, places: Tensor) -> Tensor:
    """(B, H, W) bool at (B, P, 2): (B P,) bool."""
    return sample(valid[:, None], places, "nearest")[:, 0] > 0.5


def cac(kit: MethodContext) -> Method:
    """As described."""
    return CAC(kit)
