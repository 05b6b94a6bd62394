"""Where the other thing of a sentence is: the chair of "the dog behind the chair"."""

import torch
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.detection_evidence import DetectionEvidence
from sgmg.model.evidence import ClassEvidence
from sgmg.model.portable import at_sizes


class LandmarkEvidence(nn.Module):
    """Hints for the fused levels, and for whether a thing is there, from what is found of the other thing.

    What is meant is beside it, on it or has it; and where it is missing, nothing is meant. Its evidence is that of
    `ClassEvidence` and, where there is one, of `DetectionEvidence`. All last layers are zero at first, so that trained
    networks can get this part and go on from what they are.
    """

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        d = config.hidden_size
        channels = [ClassEvidence.thresholds + 1] + [DetectionEvidence.thresholds] * config.detector
        self.agreements = nn.ModuleList(nn.Conv2d(n, d, 1, bias=False) for n in channels)
        self.note: nn.Sequential | None = None
        last = list(self.agreements)
        if config.presence:
            self.note = nn.Sequential(nn.Linear(sum(channels), d), nn.GELU(), nn.Linear(d, d))
            last.append(self.note[-1])
        for parameter in (parameter for layer in last for parameter in layer.parameters()):
            nn.init.zeros_(parameter)

    def compare(self, seen: list[Tensor], sizes: list[tuple[int, int]]) -> list[Tensor]:
        """Hints (n, d, h, w) for each level's size, from each sort of evidence: (n, channels, h', w')."""
        hints = [at_sizes(project(x), sizes) for project, x in zip(self.agreements, seen, strict=True)]
        return [sum(level[1:], start=level[0]) for level in zip(*hints, strict=True)]

    def notes(self, seen: list[Tensor]) -> Tensor:
        """What each frame notes, for `sgmg.model.presence`: (n, 1, d), from evidence as of `compare`."""
        assert self.note is not None
        noted: Tensor = self.note(torch.cat([x.amax((2, 3)) for x in seen], -1))[:, None]
        return noted
