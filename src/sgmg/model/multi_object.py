"""Multi-object R-VOS: what all expressions of a clip mean, in one pass through the deformable encoder.

Of a pass for one expression, at the published size, most of the time after the visual encoder goes into the deformable
encoder and the second spectral filters (`benchmarks/multi_object.py` measures what one pass for all saves). Both must
run once for all E expressions, so between the visual encoder and them the E fused maps become one; what follows must be
cheap. The paper names the steps and leaves their form open; this is ours.

*Fuse and merge.* Cells attend to the words of all sentences at once (`join`), by the fusion's own attention and with
positions counted within each sentence. A softmax over all words is, for every cell and head, the mean of what the cell
would read in each sentence alone, weighted by how much that sentence speaks to it: Σₑ wₑ · readₑ, wₑ = Zₑ / Σ Z, where
Zₑ is the mean of exp(score) over the words of e (the mean, so that long sentences do not outweigh short ones; it is
a bias of −log(words) on the keys). So every level is fused with every expression, and merged by weights that a cell
gives by what it shows. The product with the visual features is linear in what is read, so merging before it and after
it are the same. Why this form:
- it costs what one expression costs: queries and output are projected once, only keys and values grow;
- a sum over expressions has no order, and words that are padding have no weight: the map is the same in whatever
  order and with however many padding expressions they come;
- objects keep apart, since cells choose: a plain mean would leave each expression 1 / E of its strength in its own
  object, a maximum passes gradients to one expression a channel;
- with E = 1 it is exactly the single-object fusion, and it needs no parameters of its own, so that the weights of a
  single-object model can start a multi-object one.
Class evidence, which is no attention, is merged as the largest agreement of each cell with any of the sentences.

*Decouple.* After the encoder each expression takes its own features out of the shared map (`Decoupling`): a residual
layer with hidden units that are gated by the expression, x + W · relu(gateₑ ⊙ (V x) + biasₑ). V x is computed once
for all; per expression there remain one product per cell and W. Gates and biases are made from the words: as many
slots as there are heads each read the words with their own interest ("red", "left", "dog") and gate their own share of
the units; this runs over words, not cells, and costs nothing. Gates are near 1, biases near 0 and W is 0 at first:
training begins with the shared map, and, for one expression, with exactly what the single-object network does.

Decoder, CPK and MSO then run for each expression as they do for one, all of them in one batch. An expression's result
depends on which others are asked for beside it, as it must where they share a map, but not on their order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from sgmg.model.attention import MultiheadAttention
from sgmg.model.config import SgMgConfig
from sgmg.model.deformable import EncodedLevels
from sgmg.model.evidence import ClassEvidence
from sgmg.model.positions import word_positions
from sgmg.model.text import TextFeatures


@dataclass
class JoinedText(TextFeatures):
    """All sentences of each of B clips as one text; clips with fewer than E sentences are padded.

    Attributes:
        words: (B, E·L, d) the sentences' words, one sentence after another.
        sentence: (B·E, d), zeros for padding sentences.
        padding_mask: (B, E·L) bool, True on padding words and on all words of padding sentences.
        embedding, noun, landmark: (B·E, C), zeros for padding sentences.
        sentences: E.
    """

    sentences: int = 1

    @property
    def keys(self) -> Tensor:
        """(B, E·L, d) words with their positions in their own sentences."""
        position = word_positions(self._by_sentence.flatten(0, 1), self.words.shape[-1])
        return self.words + position.view_as(self.words)

    @property
    def key_mask(self) -> Tensor:
        """(B, E·L) float, added to scores: −log of the sentence's length, which must not count; −inf on padding."""
        words = (~self._by_sentence).sum(2, keepdim=True).clamp(min=1)  # (B, E, 1)
        bias = -words.to(self.words.dtype).log().expand(self._by_sentence.shape)
        return bias.masked_fill(self._by_sentence, -math.inf).flatten(1)

    def agreed(self, shares: Tensor) -> Tensor:
        """The largest of each clip's sentences: (B, E, ...) to (B, 1, ...)."""
        absent = self.absent.view(*shares.shape[:2], *[1] * (shares.dim() - 2))
        return shares.masked_fill(absent, -math.inf).amax(1, keepdim=True)

    @property
    def absent(self) -> Tensor:
        """(B·E,) bool, True for padding sentences."""
        return self._by_sentence.all(2).flatten()

    @property
    def _by_sentence(self) -> Tensor:
        """The padding mask as (B, E, L)."""
        return self.padding_mask.unflatten(1, (self.sentences, -1))


def join(text: TextFeatures, counts: Sequence[int]) -> JoinedText:
    """The sentences of each clip as one text.

    Args:
        text: of all clips' sentences, clip after clip.
        counts: how many of them belong to each of the B clips, at least one.
    """

    def by_clip(x: Tensor, padding: float = 0) -> Tensor:  # (ΣE, ...) to (B, E, ...)
        return pad_sequence(list(x.split(list(counts))), batch_first=True, padding_value=padding)

    return JoinedText(
        words=by_clip(text.words).flatten(1, 2),
        sentence=by_clip(text.sentence).flatten(0, 1),
        padding_mask=by_clip(text.padding_mask, True).flatten(1),
        embedding=by_clip(text.embedding).flatten(0, 1),
        noun=None if text.noun is None else by_clip(text.noun).flatten(0, 1),
        landmark=None if text.landmark is None else by_clip(text.landmark).flatten(0, 1),
        sentences=max(counts),
    )


class Decoupling(nn.Module):
    """Each expression's own features out of the map that all expressions of its clip share."""

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.slots = nn.Parameter(torch.randn(config.heads, d))
        self.reading = MultiheadAttention(d, config.heads)
        self.norm = nn.LayerNorm(d)
        self.gates = nn.Linear(d, 2 * d // config.heads)  # a gate and a bias for each of the slot's units
        self.units = nn.Linear(d, d)
        self.evidence = nn.Linear(ClassEvidence.thresholds + 1, d) if config.class_evidence else None
        self.output = nn.Linear(d, d)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def weights(self, text: TextFeatures) -> tuple[Tensor, Tensor]:
        """A gate and a bias of every hidden unit, made from the words: (E, d) each."""
        asking = self.slots + text.sentence[:, None]  # (E, slots, d)
        read = self.reading(asking, text.keys, text.words, text.key_mask)
        gate, bias = self.gates(self.norm(asking + read)).chunk(2, -1)  # (E, slots, d / slots)
        return 1 + gate.flatten(1), bias.flatten(1)

    def forward(
        self, encoded: EncodedLevels, text: TextFeatures, owners: Tensor, frames: int, shares: list[Tensor]
    ) -> EncodedLevels:
        """Decouple encoded levels.

        Args:
            encoded: of B·T frames.
            text: of the E expressions of all clips.
            owners: (E,) index of each expression's clip.
            frames: T.
            shares: (E·T, thresholds + 1, h, w) of each level, of `ClassEvidence`; empty without it.

        Returns:
            The same levels for each expression, E·T frames.
        """
        memory = encoded.memory.unflatten(0, (-1, frames))  # (B, T, S, d)
        gate, bias = (x[:, None, None] for x in self.weights(text))  # (E, 1, 1, d)
        hidden = torch.addcmul(bias, of_expressions(self.units(memory), owners), gate)  # (E, T, S, d)
        if self.evidence is not None and shares:
            agreement = torch.cat([x.flatten(2) for x in shares], 2).mT  # (E·T, S, thresholds + 1)
            hidden = hidden + self.evidence(agreement).view_as(hidden)
        own = of_expressions(memory, owners) + self.output(F.relu(hidden))

        def repeated(x: Tensor) -> Tensor:
            return of_expressions(x.unflatten(0, (-1, frames)), owners).flatten(0, 1)

        return EncodedLevels(own.flatten(0, 1), encoded.cells.each(repeated))


def of_expressions(x: Tensor, owners: Tensor) -> Tensor:
    """Each expression's clip (B, ...) to (E, ...): without a copy where there is but one."""
    return x.expand(len(owners), *x.shape[1:]) if len(x) == 1 else x[owners]
