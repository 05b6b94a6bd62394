"""Whether a thing is there at all: decided over all frames of a clip, for networks that see each frame by itself."""

import torch
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.evidence import ClassEvidence
from sgmg.model.portable import average_to, for_each
from sgmg.model.text import TextFeatures


class Presence(nn.Module):
    """Adds to every frame's scores what the clip as a whole says.

    A single frame is easily mistaken; many frames together are not. Each frame notes what its queries found, what is
    asked for, and, with class evidence, how far what lies under the mask is what the sentence names. The mean of the
    notes over the frames, those that score higher counting more, decides. The last layer is zero at first, so that
    trained networks can get this part and go on from what they are.
    """

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        d = config.hidden_size
        seen = 2 * (ClassEvidence.thresholds + 1) if config.class_evidence else 0
        self.note = nn.Sequential(nn.Linear(3 * d + seen, d), nn.GELU(), nn.Linear(d, d))
        self.decide = nn.Sequential(nn.LayerNorm(d), nn.Linear(d, d), nn.GELU(), nn.Linear(d, 1))
        last = self.decide[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def notes(self, queries: Tensor, text: TextFeatures, patches: Tensor, shares: Tensor | None) -> Tensor:
        """What each frame notes.

        Args:
            queries: (E·T, N, d) of the last decoder layer.
            text: of the E expressions.
            patches: (E·T, N, 16, h, w) their patch mask logits.
            shares: (E·T, thresholds + 1, h', w') of `ClassEvidence`, or None without it.

        Returns:
            (E, T, N, d).
        """
        expressions = len(text.sentence)
        sentence = for_each(text.sentence, queries.shape[0] // expressions)[:, None].expand_as(queries)
        parts = [queries, sentence, queries * sentence]
        if shares is not None:
            # Masks are judged, not taught, by what lies under them.
            cover = patches.detach().sigmoid().mean(2)  # (E·T, N, h, w)
            cover = average_to(cover, (shares.shape[2], shares.shape[3])).flatten(2).to(shares.dtype)
            under = cover @ shares.flatten(2).transpose(1, 2) / (cover.sum(-1, keepdim=True) + 1e-3)  # (E·T, N, n)
            parts += [under, shares.amax((2, 3))[:, None].expand_as(under)]
        return self.note(torch.cat(parts, -1)).unflatten(0, (expressions, -1))

    def forward(self, notes: Tensor, logits: Tensor) -> Tensor:
        """Notes (E, T, N, d) and score logits (E, T, N, 1) of whole clips to score logits of the same shape."""
        weights = logits.detach().float().softmax(1).to(notes.dtype)
        return logits + self.decide((notes * weights).sum(1, keepdim=True))
