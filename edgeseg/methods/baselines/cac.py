"""CAC, also called DCC (Lai et al., CVPR 2021, arXiv 2106.14133): context-aware consistency.

A place should look alike in whatever surroundings. Two windows of every unlabelled frame overlap.
In the overlap the less confident view of a place is pulled to the more confident one, and away from
places of other pseudo-labels in all windows of the step. Simplified: both windows are equally large
and enlarged to the size of a frame, the overlap is sampled at random places instead of densely, and
no memory of earlier steps is kept (neither does the official setting for Cityscapes).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from edgeseg.data.augment import strong_augment
from edgeseg.distributed import all_gather
from edgeseg.imaging.array_types import IGNORE
from edgeseg.losses.baselines.cac_directional import directional_contrast
from edgeseg.methods.framework.method import Batch, Method, MethodContext, StepResult
from edgeseg.methods.framework.online_method import OnlineMethod
from edgeseg.methods.framework.pixel_selection import all_pixels

WINDOW = 0.65  # of a frame's height and width; the boxes' intersection over union is then 0.12 to 1
PLACES = 256  # sampled in the overlap of each frame, and as many in each window for negatives
PROJECTION_DIM = 128
WEIGHT = 0.1


class CAC(OnlineMethod):
    """3B images with gradient, B without."""

    propagation = False  # no pseudo-labels whose place they could take

    def __init__(self, context: MethodContext) -> None:
        super().__init__(context, (), select=all_pixels, weight_scale=WEIGHT)
        width = context.student.classifier.in_channels
        self.projector = nn.Sequential(
            nn.Linear(width, PROJECTION_DIM), nn.ReLU(), nn.Linear(PROJECTION_DIM, PROJECTION_DIM)
        )
        self._confidence_threshold = context.confidence_threshold()

    def step(self, labelled: Batch, unlabelled: Batch | None, progress: float) -> StepResult:
        assert unlabelled is not None
        weight = self.schedule.at(progress)
        if weight == 0:
            return self.warmup_step(labelled)
        number = len(labelled.images)
        self.teacher_forward(unlabelled.images)
        uniform = torch.rand(2, len(unlabelled.images), 2, device=unlabelled.images.device)
        centers = (1 - WINDOW) * (2 * uniform - 1)
        windows = torch.cat([cut_window(unlabelled.images, center) for center in centers])
        if self._config.strong:
            windows = strong_augment(windows)
        images = self.normalize(torch.cat([labelled.images, windows]))
        decoded = self.student.decoder(self.student.encode(images))
        logits = self.student.classifier(decoded)
        supervised = self.labelled_loss(logits[:number], labelled)
        contrast = self._contrast(
            decoded[number:], logits[number:].detach(), centers, unlabelled.valid
        )
        logs = {"supervised": supervised.detach(), "unlabelled": contrast.detach()}
        return StepResult(supervised + weight * contrast, logs)

    def _contrast(self, decoded: Tensor, logits: Tensor, centers: Tensor, valid: Tensor) -> Tensor:
        """The directional contrastive loss () of two windows of every frame.

        A frame's coordinates are x and y in -1..1; a window with its center at c reaches from c -
        WINDOW to c + WINDOW, and has coordinates -1..1 of its own: (p - c) / WINDOW of the frame's
        p. Example in one dimension with windows of 0.65 around -0.2 and 0.3: they overlap from
        -0.35 to 0.45, and the place 0.1 lies at 0.46 in the first, at -0.31 in the second.

        Args:
            decoded: (2B, D, h, w) maps of all first and then all second windows.
            logits: (2B, C, h, w), without gradient.
            centers: (2, B, 2).
            valid: (B, H, W) bool, of the frames.
        """
        probability = logits.float().softmax(1)
        low, high = centers.amax(0) - WINDOW, centers.amin(0) + WINDOW
        place = low[:, None] + (high - low)[:, None] * torch.rand(
            len(valid), PLACES, 2, device=valid.device
        )
        in_window = ((place - centers[:, :, None]) / WINDOW).flatten(0, 1)  # (2B, PLACES, 2)
        features_1, features_2 = self.projector(sample(decoded, in_window)).chunk(2)
        confidence, label = sample(probability, in_window).max(1)
        confidence_1, confidence_2 = confidence.chunk(2)
        label_1, label_2 = label.chunk(2)

        with torch.no_grad():
            elsewhere = 2 * torch.rand_like(in_window) - 1
            negatives = self.projector(sample(decoded, elsewhere))
            in_frame = elsewhere * WINDOW + centers.flatten(0, 1)[:, None]
            known = _sample_nearest(valid.repeat(2, 1, 1), in_frame)
            negative_labels = sample(probability, elsewhere).argmax(1).masked_fill(~known, IGNORE)
        return directional_contrast(
            features_1,
            features_2,
            confidence_1,
            confidence_2,
            label_1,
            label_2,
            _sample_nearest(valid, place),
            all_gather(negatives).flatten(0, 1),
            all_gather(negative_labels).flatten(),
            self._confidence_threshold,
        )


def cut_window(images: Tensor, center: Tensor) -> Tensor:
    """The window of (B, 3, H, W) frames around `center` (B, 2), enlarged to the whole size.

    `center` is x and y in -1..1.
    """
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = WINDOW
    theta[:, :, 2] = center
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def sample(maps: Tensor, places: Tensor, mode: str = "bilinear") -> Tensor:
    """Maps (B, D, h, w) at `places` (B, P, 2), x and y in -1..1: (B P, D) float32."""
    sampled = F.grid_sample(
        maps.float(), places[:, :, None], mode=mode, padding_mode="border", align_corners=False
    )
    return sampled[..., 0].movedim(1, 2).flatten(0, 1)


def _sample_nearest(valid: Tensor, places: Tensor) -> Tensor:
    """(B, H, W) bool at (B, P, 2): (B P,) bool."""
    return sample(valid[:, None], places, "nearest")[:, 0] > 0.5


def cac(context: MethodContext) -> Method:
    """CAC with two windows of a fixed size and sampled places."""
    return CAC(context)
