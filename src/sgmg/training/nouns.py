"""Teaching a network which words of a sentence name the thing, before it is trained on videos."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sgmg.data.synthetic import vocabulary
from sgmg.model import SgMg

SENTENCES, STEPS, RATE = 1500, 150, 0.02

_BEFORE = (*vocabulary.COLORS, "big", "small", "little", "leftmost", "rightmost", "second", "moving", "still",
           "striped", "young", "old", "other", "{other}'s", "{other}'s")  # fmt: skip
_AFTER = ("moving left", "that is moving to the right", "on the left", "in the middle", "standing still", "sleeping",
          "in the scene", "coming closer", "turning around", "at the back", "which is {color}",
          "wearing a {color} {garment}", "in the {color} {garment}", "with a {garment}", "next to the {other}",
          "behind the {color} {other}", "on the {other}", "held by the {other}", "with the {other}",
          "holding a {other}", "under the {other}", "riding a {other}", "walking past the {other}",
          "in front of a {other}", "of the {other}", "throwing a {other}", "chasing the {other}", "eating",
          "in her hand", "on his lap", "jumping on the {other}", "looking at the {color} {other}")  # fmt: skip
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


@dataclass(frozen=True)
class Named:
    """A sentence, and where in it the noun stands that names the thing: characters, the end not included."""

    text: str
    start: int
    end: int


def named_things(count: int, rng: np.random.Generator) -> list[Named]:
    """Sentences about things and people with everything beside the noun that sentences have, other nouns above all."""
    nouns = [*vocabulary.KINDS, *(word for _ in range(8) for word in ("person", *vocabulary.PERSON_GUESSES))]
    sentences = []
    for _ in range(count):
        noun = str(rng.choice(nouns))
        blanks = {
            "color": str(rng.choice(vocabulary.COLORS)),
            "garment": str(rng.choice(list(vocabulary.GARMENT_WORDS))),
            "other": str(rng.choice([other for other in nouns if other != noun])),
        }
        before = [str(word).format(**blanks) for word in rng.choice(_BEFORE, int(rng.integers(0, 3)), replace=False)]
        after = [str(phrase).format(**blanks) for phrase in rng.choice(_AFTER, int(rng.integers(0, 3)), replace=False)]
        article = [str(rng.choice(["the", "a"]))] if rng.random() < 0.85 else []
        head = " ".join([*article, *before, ""])
        phrase = " ".join([f"{head}{noun}", *after])
        around = str(rng.choice(_AROUND))
        start = around.index("{}") + len(head)
        sentences.append(Named(around.format(phrase), start, start + len(noun)))
    return sentences


@torch.enable_grad()
def teach_head_nouns(model: SgMg, seed: int = 0) -> float:
    """Fit the weights of `HeadNoun` on sentences made from the vocabulary; a few seconds.

    Returns:
        The mean weight that the noun's words then have in these sentences.

    Raises:
        ValueError: the model has no such part, or no tokenizer that tells where words stand.
    """
    part = model.text_encoder.head_noun
    if part is None or model.tokenizer is None or not model.tokenizer.is_fast:
        raise ValueError("the model tells no nouns apart, or its tokenizer not where words stand")
    examples = named_things(SENTENCES, np.random.default_rng(seed))
    words, masks, nouns = (
        pad_sequence(list(rows), batch_first=True) for rows in zip(*_encode(model, examples), strict=True)
    )
    optimiser = torch.optim.Adam(part.parameters(), lr=RATE)
    for _ in range(STEPS):
        of_noun = (part.weights(words, masks) * nouns).sum(1)
        optimiser.zero_grad()
        (-of_noun.clamp(min=1e-6).log().mean()).backward()
        optimiser.step()
    with torch.no_grad():
        return float((part.weights(words, masks) * nouns).sum(1).mean())


@torch.no_grad()
def _encode(model: SgMg, examples: list[Named]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Of each example: its words' features (L, C), ones (L,), and which words are of the noun (L,)."""
    assert model.tokenizer is not None
    rows = []
    for first in range(0, len(examples), 50):
        batch = examples[first : first + 50]
        ids, attention = model.tokenize([example.text for example in batch])
        words = model.text_encoder.backbone(input_ids=ids, attention_mask=attention).last_hidden_state
        for example, features, mask in zip(batch, words, attention.bool(), strict=True):
            offsets = model.tokenizer(example.text, return_offsets_mapping=True)["offset_mapping"]
            noun = [float(example.start <= start < end <= example.end) for start, end in offsets]
            rows.append((features[mask], torch.ones(len(noun)), torch.tensor(noun)))
    return rows
