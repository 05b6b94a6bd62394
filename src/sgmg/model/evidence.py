"""What an ImageNet classifier sees in every cell, put into the words of the text encoder.

A classifier knows a thousand kinds of things by name. Its posterior in each cell, multiplied by the text
encoder's embeddings of those names, gives features that live where sentences live: a cell that shows a
beagle lies near "the dog", also for words that training never used.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.text import TextFeatures

CLASSES = 1000  # of ImageNet-1k


class ClassEvidence(nn.Module):
    """Hints for the fused levels from class posteriors.

    Attributes:
        names: (classes, C) unit-length text embeddings of the class names; a buffer, saved with the weights.
    """

    names: Tensor
    thresholds = 8

    def __init__(self, config: SgMgConfig, text_channels: int) -> None:
        super().__init__()
        d = config.hidden_size
        self.register_buffer("names", torch.zeros(CLASSES, text_channels))
        self.meaning = nn.Conv2d(text_channels, d, 1)
        # A class counts for a sentence once their similarity passes a threshold: several soft ones.
        self.centre = nn.Parameter(torch.linspace(0.15, 0.75, self.thresholds))
        self.slope = nn.Parameter(torch.full((self.thresholds,), 20.0))
        self.agreement = nn.Conv2d(self.thresholds + 1, d, 1)
        self.noun_agreement: nn.Conv2d | None = None
        if config.head_noun:
            self.noun_agreement = nn.Conv2d(self.thresholds + 1, d, 1, bias=False)
            nn.init.zeros_(self.noun_agreement.weight)

    def describe(self, posterior: Tensor) -> Tensor:
        """What is in each cell, whatever is asked for: (n, classes, h, w) to (n, d, h, w)."""
        meaning = torch.einsum("nkhw,kc->nchw", posterior, self.names)
        return self.meaning(F.normalize(meaning, dim=1) * meaning.shape[1] ** 0.5)

    def compare(self, posterior: Tensor, text: TextFeatures, clips: int) -> Tensor:
        """How far each cell agrees with a text.

        Args:
            posterior: (B·T, classes, h, w) of B clips.
            text: of E sentences a clip.

        Returns:
            (B·E·T, d, h, w), where every sentence is a text of its own.
        """
        agreement = self.agreement(text.agreed(self.shares(posterior, text.embedding, clips)).flatten(0, 2))
        if self.noun_agreement is None or text.noun is None:
            return agreement
        return agreement + self.noun_agreement(text.agreed(self.shares(posterior, text.noun, clips)).flatten(0, 2))

    def shares(self, posterior: Tensor, embedding: Tensor, clips: int) -> Tensor:
        """How much of each cell's posterior is of classes that pass each threshold of likeness to a sentence.

        Args:
            posterior: (B·T, classes, h, w) of B clips.
            embedding: (B·E, C) unit-length embeddings of E sentences a clip.

        Returns:
            (B, E, T, thresholds + 1, h, w); the last is the expected likeness itself.
        """
        similarity = embedding @ self.names.T  # (B·E, classes)
        passed = torch.sigmoid(self.slope * (similarity[..., None] - self.centre))
        weights = torch.cat((passed, similarity[..., None]), -1).unflatten(0, (clips, -1))  # (B, E, classes, n)
        return torch.einsum("btkhw,bekj->betjhw", posterior.unflatten(0, (clips, -1)), weights)
