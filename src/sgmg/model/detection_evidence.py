"""What a detector found, compared with what a sentence names, and drawn where it was found."""

import torch
from torch import Tensor, nn

from sgmg.model.coco import KINDS
from sgmg.model.config import SgMgConfig
from sgmg.model.detector import Detector, cover
from sgmg.model.portable import at_sizes, average_to, for_each
from sgmg.model.text import TextFeatures

#: What the kinds are called, one after another.
NAMES = [word for name, others in KINDS.items() for word in (name, *others)]


def _names_of_kinds() -> Tensor:
    """Which of `NAMES` are each kind's: (kinds, most), the first one several times where there are fewer."""
    most = 1 + max(map(len, KINDS.values()))
    rows, first = [], 0
    for others in KINDS.values():
        own = range(first, first + 1 + len(others))
        rows.append([*own, *[first] * (most - len(own))])
        first = own.stop
    return torch.tensor(rows)


class DetectionEvidence(nn.Module):
    """Hints for the fused levels, and for whether a thing is there, from `Detector`.

    All last layers are zero at first, so that trained networks can get this part and go on from what they are.

    Attributes:
        names: (`NAMES`, C) unit-length text embeddings of what the kinds are called; a buffer, saved with the weights.
        names_of: (kinds, most names) which of them are each kind's.
    """

    names: Tensor
    names_of: Tensor
    thresholds = 6

    def __init__(self, config: SgMgConfig, text_channels: int) -> None:
        super().__init__()
        d = config.hidden_size
        self.register_buffer("names", torch.zeros(len(NAMES), text_channels))
        self.register_buffer("names_of", _names_of_kinds(), persistent=False)
        # A kind is what a sentence names once their similarity passes a threshold: several soft ones.
        self.centre = nn.Parameter(torch.linspace(0.35, 0.85, self.thresholds))
        self.slope = nn.Parameter(torch.full((self.thresholds,), 20.0))
        self.levels = [Detector.strides.index(min(stride, 32)) for stride in config.strides]
        self.features = nn.ModuleList(nn.Conv2d(Detector.channels, d, 1) for _ in config.strides)
        self.agreement = nn.Conv2d(self.thresholds, d, 1, bias=False)
        self.note: nn.Sequential | None = None
        last = [*self.features, self.agreement]
        if config.presence:
            self.note = nn.Sequential(nn.Linear(3 * self.thresholds, d), nn.GELU(), nn.Linear(d, d))
            last.append(self.note[-1])
        for parameter in (parameter for layer in last for parameter in layer.parameters()):
            nn.init.zeros_(parameter)

    def describe(self, pyramid: list[Tensor], sizes: list[tuple[int, int]]) -> list[Tensor]:
        """What the detector sees, whatever is asked for: (n, d, h, w) for each level's size."""
        return [
            at_sizes(project(pyramid[level]), [size])[0]
            for project, level, size in zip(self.features, self.levels, sizes, strict=True)
        ]

    def known(self, named: Tensor) -> Tensor:
        """How far each kind is what embeddings (B·E, C) name: (B·E, kinds, thresholds), from 0 to 1."""
        similarity = (named @ self.names.T)[:, self.names_of].amax(2)  # (B·E, kinds)
        return torch.sigmoid(self.slope * (similarity[..., None] - self.centre))

    def draw(self, detections: Tensor, named: Tensor, clips: int, size: tuple[int, int]) -> Tensor:
        """How surely what is named was found in each cell.

        Args:
            detections: (B·T, DETECTIONS, 4 + kinds) of B clips, as of `Detector`.
            named: (B·E, C) embeddings of what E sentences a clip name.
            size: h and w of the grid.

        Returns:
            (B, E, T, thresholds, h, w).
        """
        known = self.known(named).unflatten(0, (clips, -1))  # (B, E, kinds, thresholds)
        boxes, scores = detections[..., :4], detections[..., 4:].unflatten(0, (clips, -1))
        named = torch.einsum("btdk,bekj->betdj", scores, known)
        covered = cover(boxes, size).unflatten(0, (clips, -1))[:, None, :, :, None]  # (B, 1, T, DETECTIONS, 1, h, w)
        return (named[..., None, None] * covered).amax(3)

    def compare(self, detections: Tensor, text: TextFeatures, clips: int, sizes: list[tuple[int, int]]) -> list[Tensor]:
        """Hints (B·E·T, d, h, w) for each level's size, one text a sentence; detections as in `draw`."""
        drawn = text.agreed(self.draw(detections, text.named, clips, sizes[0])).flatten(0, 2)
        return at_sizes(self.agreement(drawn), sizes)

    def notes(self, detections: Tensor, text: TextFeatures, clips: int, patches: Tensor) -> Tensor:
        """What each frame notes of whether the thing is there, for `sgmg.model.presence`.

        Args:
            detections, clips: as of `draw`.
            text: of E sentences a clip.
            patches: (B·E·T, N, 16, h, w) patch mask logits; masks are judged, not taught, by what lies under them.

        Returns:
            (B·E·T, N, d).
        """
        assert self.note is not None
        size = (patches.shape[3] // 2, patches.shape[4] // 2)
        drawn = self.draw(detections, text.named, clips, size).flatten(0, 2)
        under = average_to(patches.detach().sigmoid().mean(2), size).flatten(2).to(drawn.dtype)  # (B·E·T, N, h·w)
        below = under @ drawn.flatten(2).transpose(1, 2) / (under.sum(-1, keepdim=True) + 1e-3)
        best = drawn.amax((2, 3))[:, None].expand_as(below)
        known = for_each(self.known(text.named).amax(1), drawn.shape[0] // len(text.sentence))[:, None].expand_as(below)
        noted: Tensor = self.note(torch.cat((below, best, known), -1))
        return noted
