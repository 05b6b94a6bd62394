"""Teaching a network which words of a sentence name the thing, before it is trained on videos."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sgmg.data.synthetic import vocabulary
from sgmg.model import SgMg
from sgmg.model.text import HeadNoun

SENTENCES, STEPS, RATE = 3000, 300, 0.003

_BEFORE = (*vocabulary.COLORS, "big", "small", "little", "leftmost", "rightmost", "second", "moving", "still",
           "striped", "young", "old", "other", "{other}'s", "{other}'s")  # fmt: skip
_AFTER = ("moving left", "that is moving to the right", "on the left", "in the middle", "standing still", "sleeping",
          "in the scene", "coming closer", "turning around", "at the back", "which is {color}",
          "wearing a {color} {garment}", "in the {color} {garment}", "with a {garment}", "next to the {other}",
          "behind the {color} {other}", "on the {other}", "held by the {other}", "with the {other}",
          "holding a {other}", "under the {other}", "riding a {other}", "walking past the {other}",
          "in front of a {other}", "of the {other}", "throwing a {other}", "chasing the {other}", "eating",
          "in her hand", "on his lap", "jumping on the {other}", "looking at the {color} {other}", "near a {other}",
          "to the left of the {other}", "right of the {color} {other}", "beside the {other}", "carrying a {other}",
          "that has a {other}", "with a {other}", "above the {other}", "partly hidden by the {other}")  # fmt: skip
_AROUND = (
    "{}",
    "{}",
    "{}",
    "{}",
    "find {}",
    "where is {}?",
    "please segment {}",
    "show me {}",
    "{} in this clip",
    "{}.",
)


#: Other things that things are beside, which nothing is cut out of.
_PLACES = ("table", "desk", "bed", "sofa", "tree", "wall", "road", "floor", "fence", "house", "rock", "door", "window",
           "water", "grass", "shelf")  # fmt: skip

#: Where words stand in a text: characters, the end not included.
Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Named:
    """A sentence, where in it the noun stands that names the thing, and where the names of another thing."""

    text: str
    noun: Span
    landmarks: tuple[Span, ...]


def named_things(count: int, rng: np.random.Generator) -> list[Named]:
    """Sentences about things and people with everything beside the noun that sentences have, other nouns above all."""
    people = ("person", *vocabulary.PERSON_GUESSES)
    nouns = [*vocabulary.KINDS, *(word for word in people for _ in range(8))]
    others = [*vocabulary.KINDS, *(place for place in _PLACES for _ in range(3)), *people]
    sentences = []
    for _ in range(count):
        noun = str(rng.choice(nouns))
        words = {
            "noun": noun,
            "color": str(rng.choice(vocabulary.COLORS)),
            "garment": str(rng.choice(list(vocabulary.GARMENT_WORDS))),
            "other": str(rng.choice([other for other in others if other != noun])),
        }
        before = rng.choice(_BEFORE, int(rng.integers(0, 3)), replace=False)
        after = rng.choice(_AFTER, int(rng.integers(0, 3)), replace=False)
        article = [str(rng.choice(["the", "a"]))] if rng.random() < 0.85 else []
        template = str(rng.choice(_AROUND)).format(" ".join([*article, *before, "{noun}", *after]))
        text, spans = _filled(template, words)
        sentences.append(Named(text, spans["noun"][0], tuple(spans["other"])))
    return sentences


def _filled(template: str, words: dict[str, str]) -> tuple[str, dict[str, list[Span]]]:
    """A template with words in its blanks, and where they then stand."""
    text = ""
    spans: dict[str, list[Span]] = {blank: [] for blank in words}
    for before, blank, _, _ in Formatter().parse(template):
        text += before
        if blank is not None:
            spans[blank].append((len(text), len(text) + len(words[blank])))
            text += words[blank]
    return text, spans


def teach_head_nouns(model: SgMg, seed: int = 0) -> float:
    """Fit the weights of `HeadNoun` on sentences made from the vocabulary; a few seconds.

    Returns:
        The mean weight that the noun's words then have in these sentences.

    Raises:
        ValueError: the model has no such part, or no tokenizer that tells where words stand.
    """
    return _teach(model, model.text_encoder.head_noun, lambda example: (example.noun,), seed)


def teach_landmarks(model: SgMg, seed: int = 0) -> float:
    """Fit the weights of `Landmark` likewise.

    Returns:
        The mean weight that the right words then have, or, in sentences about one thing, that of no word.

    Raises:
        ValueError: as for `teach_head_nouns`.
    """
    return _teach(model, model.text_encoder.landmark, lambda example: example.landmarks, seed)


@torch.enable_grad()
def _teach(model: SgMg, part: HeadNoun | None, asked: Callable[[Named], Sequence[Span]], seed: int) -> float:
    if part is None or model.tokenizer is None or not model.tokenizer.is_fast:
        raise ValueError("the model tells no nouns apart, or its tokenizer not where words stand")
    examples = named_things(SENTENCES, np.random.default_rng(seed))
    words, masks, right = (
        pad_sequence(list(rows), batch_first=True) for rows in zip(*_encode(model, examples, asked), strict=True)
    )
    some = right.any(1)

    def weight() -> Tensor:
        weights = part.weights(words, masks)
        return torch.where(some, (weights * right).sum(1), 1 - weights.sum(1))

    optimiser = torch.optim.Adam(part.parameters(), lr=RATE)
    for _ in range(STEPS):
        optimiser.zero_grad()
        (-weight().clamp(min=1e-6).log().mean()).backward()
        optimiser.step()
    with torch.no_grad():
        return float(weight().mean())


@torch.no_grad()
def _encode(
    model: SgMg, examples: list[Named], asked: Callable[[Named], Sequence[Span]]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Of each example: its words' features (L, C), ones (L,), and which words are asked for (L,)."""
    assert model.tokenizer is not None
    rows = []
    for first in range(0, len(examples), 50):
        batch = examples[first : first + 50]
        ids, attention = model.tokenize([example.text for example in batch])
        words = model.text_encoder.backbone(input_ids=ids, attention_mask=attention).last_hidden_state
        for example, features, mask in zip(batch, words, attention.bool(), strict=True):
            offsets = model.tokenizer(example.text, return_offsets_mapping=True)["offset_mapping"]
            right = [float(any(a <= start < end <= b for a, b in asked(example))) for start, end in offsets]
            rows.append((features[mask], torch.ones(len(right)), torch.tensor(right)))
    return rows
