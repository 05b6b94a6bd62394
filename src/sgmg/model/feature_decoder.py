"""Decoding encoded features before masks are drawn on them: what the paper argues against.

Kernels are predicted from queries that saw *encoded* features; a decoder between the two changes the features and not
the kernels (feature drift; paper, section 3 and supplement G). The network as published has no such decoder.
"""

from dataclasses import replace

import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.fusion import WordAttention
from sgmg.model.heads import build_segmentation
from sgmg.model.text import TextFeatures


class FeatureDecoder(nn.Module):
    """A feature pyramid from stride 32 to 8: top-down, with lateral connections and cross-modal attention.

    At each stride: the encoder's output (where it has that level), plus the visual encoder's stage, projected, plus
    what comes from above, resized; then every cell reads the words; then a 3x3 convolution.
    """

    def __init__(self, config: SgMgConfig, stage_channels: list[int]) -> None:
        super().__init__()
        d = config.hidden_size
        levels = stage_channels[1:]  # strides 8, 16, 32
        self.laterals = nn.ModuleList(nn.Sequential(nn.Conv2d(c, d, 1), nn.GroupNorm(32, d)) for c in levels)
        # Words are added to what they multiply: a product of products would not train.
        words = replace(config, fusion="residual")
        self.word_attentions = nn.ModuleList(WordAttention(words) for _ in levels)
        self.outputs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(d, d, 3, padding=1), nn.GroupNorm(32, d), nn.ReLU()) for _ in levels
        )

    def forward(self, memory: list[Tensor], stages: list[Tensor], text: TextFeatures) -> Tensor:
        """Decode the encoder's output.

        Args:
            memory: (B·T, d, h, w) of the levels from the finest to stride 32, of B expressions.
            stages: (n, C, h, w) at strides 4, 8, 16, 32; n is B·T, or less where clips have several expressions.
            text: of the B expressions.

        Returns:
            (B·T, d, h, w) at stride 8.
        """
        frames = len(memory[0]) // len(text.words)
        expressions = len(memory[0]) // len(stages[0])
        encoded = [None] * (len(self.laterals) - len(memory)) + list(memory)
        decoded: Tensor | None = None
        for index in reversed(range(len(self.laterals))):
            lateral = self.laterals[index](stages[index + 1])
            x = lateral.unflatten(0, (-1, frames)).repeat_interleave(expressions, 0).flatten(0, 1)
            for other in (encoded[index], decoded):
                if other is not None:
                    x = x + F.interpolate(other, (x.shape[2], x.shape[3]), mode="bilinear", align_corners=False)
            decoded = self.outputs[index](self.word_attentions[index](x, text))
        assert decoded is not None
        return decoded


class FeatureObserver(nn.Module):
    """A decoder that learns beside the network and leaves it as it is: no gradient leaves it.

    It draws masks of its own with kernels of its own, so that it learns what a decoder learns.
    """

    def __init__(self, config: SgMgConfig, stage_channels: list[int]) -> None:
        super().__init__()
        self.decoder = FeatureDecoder(config, stage_channels)
        self.segmentation = build_segmentation(config)

    def forward(
        self, memory: list[Tensor], stages: list[Tensor], text: TextFeatures, queries: Tensor, reference: Tensor
    ) -> Tensor:
        """Patch masks (B·T, N, 16, h, w) of queries (B·T, N, d) with reference points (B·T, N, 2) in pixels."""
        words, sentence, embedding = (x.detach() for x in (text.words, text.sentence, text.embedding))
        text = TextFeatures(words, sentence, text.padding_mask, embedding)
        decoded = self.decoder([x.detach() for x in memory], [x.detach() for x in stages], text)
        size = (decoded.shape[2], decoded.shape[3])
        return self.segmentation([decoded], size, queries.detach(), reference.detach())
