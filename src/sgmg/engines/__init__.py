"""What computes: the steps of a segmentation that need a network, behind one face.

`Segmenter` knows videos, sentences, clips and arrays; an engine knows a network and how it is run. There are two:
`sgmg.engines.pytorch` runs an `SgMg`, on any device; `sgmg.engines.onnx` runs exported graphs by ONNX Runtime and needs
no PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from sgmg.model.config import SgMgConfig

Clip = TypeVar("Clip")
Text = TypeVar("Text")
State = TypeVar("State")
Logits = TypeVar("Logits")

#: Full-size logits are made for this many frames at once; float32, four bytes a pixel.
FRAMES_AT_ONCE = 4

TOO_LARGE = (
    "The memory is not enough for a clip of this length and size; choose a smaller --clip-length or --short-side."
)


@dataclass(frozen=True)
class Tokens:
    """E tokenized expressions, padded to the longest.

    Attributes:
        ids: (E, L) int64.
        attention: (E, L) int64, 1 on tokens and 0 on padding.
        kept: for each expression what the text encoder's length left of it; None if all of it.
    """

    ids: np.ndarray
    attention: np.ndarray
    kept: list[str | None]


@dataclass(frozen=True)
class Found(Generic[State]):
    """What a network finds of E expressions in a clip of T frames, with N queries.

    Attributes:
        scores: (E, T, N) float32 in [0, 1].
        best: (E,) int64, the query with the highest mean score over the frames.
        state: the engine's own, for the masks of any query.
    """

    scores: np.ndarray
    best: np.ndarray
    state: State


class Engine(Protocol[Clip, Text, State, Logits]):
    """A network, ready to run. All calls but those of attributes happen within `computing`.

    Attributes:
        config: what the network is made of.
        device: what it runs on, in a word.
        dtype: what matrix products are computed in.
        threads: of the CPU.
    """

    @property
    def config(self) -> SgMgConfig: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def threads(self) -> int: ...

    def digest(self) -> str:
        """What tells this network from others, whatever they are called."""
        ...

    def computing(self) -> AbstractContextManager[None]:
        """What work happens within. Running out of memory becomes an `InputError`."""
        ...

    def watched(self, check: Callable[[], None]) -> AbstractContextManager[None]:
        """Within it, `check` is called as often as the engine can while it computes; what it raises ends the work."""
        ...

    def tokenize(self, sentences: Sequence[str]) -> Tokens:
        """Sentences to tokens, cut to the text encoder's length."""
        ...

    def encode_text(self, tokens: Tokens) -> Text:
        """Features of expressions that go through the network together."""
        ...

    def encode_clip(self, pixels: Sequence[np.ndarray]) -> Clip:
        """T resized frames (3, h, w) uint8 to the features of a clip, for any number of expressions."""
        ...

    def find(
        self, pixels: Sequence[np.ndarray], texts: Sequence[Text], progress: Callable[[float], None] = ...
    ) -> tuple[Clip, Iterator[Found[State]]]:
        """`encode_clip`, and `decode` of each of some expressions, in less memory: of the clip only masks may be asked.

        `progress` is told now and then what share of the work is done.
        """
        ...

    def select(self, clip: Clip, frames: Sequence[int]) -> Clip:
        """Some frames of an encoded clip."""
        ...

    def decode(self, clip: Clip, text: Text) -> Found[State]:
        """What a clip's expressions mean."""
        ...

    def patches(self, found: Found[State]) -> np.ndarray:
        """(E, N, T, h, w) bool, all queries' patch masks at stride 2 of the frames as the network sees them."""
        ...

    def masks(self, found: Found[State], clip: Clip, query: np.ndarray) -> Logits:
        """Mask logits (E, T, h, w) of one query (E,) for each expression, at the network's size."""
        ...

    def every_mask(self, found: Found[State], clip: Clip) -> Logits:
        """Mask logits (N, h, w) of all queries, of one expression and one frame."""
        ...

    def cut_at_size(self, logits: Logits, size: tuple[int, int]) -> Iterator[tuple[slice, np.ndarray]]:
        """Logits (n, h, w) as masks (n, H, W) bool, resized (bilinear) and a few at a time: (which, those)."""
        ...

    def probable_at_size(self, logits: Logits, size: tuple[int, int]) -> Iterator[tuple[slice, np.ndarray]]:
        """The same as probabilities, float32."""
        ...
