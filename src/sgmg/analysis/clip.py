"""One clip and one expression, ready to be looked at from inside of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as transforms

from sgmg.clips import network_size
from sgmg.errors import InputError
from sgmg.model import Prediction, SgMg, TextFeatures, VisualFeatures
from sgmg.model.pixels import normalised
from sgmg.segmenter import Segmenter
from sgmg.video import VideoSource, open_video


@dataclass(frozen=True)
class Clip:
    """What the network is given.

    Attributes:
        images: (T, h, w, 3) uint8, at the size at which the network sees them.
        frames: (1, T, 3, h, w) the same, with ImageNet's mean and deviation taken out.
        expression: the sentence.
        tokens: what the tokenizer made of it, as texts; special ones included.
        text: its features.
    """

    images: np.ndarray
    frames: Tensor
    expression: str
    tokens: list[str]
    text: TextFeatures


@dataclass(frozen=True)
class Answer:
    """What the network found in a clip.

    Attributes:
        visual: the clip's features.
        prediction: of the last decoder layer.
        query: the best query.
        score: its mean over the frames, in [0, 1].
        masks: (T, h, w) bool, of the best query.
    """

    visual: VisualFeatures
    prediction: Prediction
    query: int
    score: float
    masks: np.ndarray


def read_clip(
    segmenter: Segmenter, video: VideoSource, expression: str, frames: int = 36, numbers: Sequence[int] | None = None
) -> Clip:
    """Read a clip and encode an expression.

    Args:
        segmenter: its model's sizes and tokenizer count.
        video: as for `Segmenter`.
        expression: the sentence.
        frames: how many frames at most, the first.
        numbers: in place of them, these frames, counted from 0, in rising order.

    Raises:
        InputError: the video cannot be read or is shorter, or the expression is empty.
    """
    if not expression.strip():
        raise InputError("An expression is empty; say which object to look at, such as 'the dog'.")
    source = open_video(video)
    last = frames if numbers is None else max(numbers) + 1
    images = [frame.image for frame in islice(source, last)]
    if numbers is not None:
        if len(images) < last:
            raise InputError(f"'{source.source}' has {len(images)} frames; give a frame from 0 to {len(images) - 1}.")
        images = [images[number] for number in numbers]
    model = segmenter.model
    size = list(network_size(source.size, model.config.short_side, model.config.long_side))
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    pixels = transforms.resize(pixels, size, antialias=True).to(model.device)
    with torch.no_grad():
        ids, attention = model.tokenize([expression])
        text = model.encode_text(ids, attention)
    assert model.tokenizer is not None
    tokens = [str(model.tokenizer.decode([number])).strip() for number in ids[0].tolist()]
    return Clip(pixels.permute(0, 2, 3, 1).cpu().numpy(), normalised(pixels)[None], expression, tokens, text)


@torch.no_grad()
def ask(model: SgMg, clip: Clip) -> Answer:
    """Run the network over a clip."""
    visual = model.encode_video(clip.frames)
    prediction = model.decode(visual, clip.text)
    query = prediction.best_query()
    score = float(prediction.logits[0, :, query[0]].sigmoid().mean())
    masks = (model.optimise_masks(prediction, visual, query)[0] > 0).cpu().numpy()
    return Answer(visual, prediction, int(query), score, masks)
