"""Attention to neighbouring frames and to the words, for encoders that see one frame at a time."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.config import SgMgConfig
from sgmg.model.text import TextFeatures

#: Frames before and after that a frame looks at in one layer.
REACH = 2


class TemporalLayer(nn.Module):
    """Cells of one frame attend to the cells of the frames around it and to the words.

    The neighbourhood is relative, so clips may be longer than those seen in training.
    """

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.heads = config.heads
        self.norm, self.word_norm, self.feedforward_norm = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.query, self.key, self.value, self.output = (nn.Linear(d, d) for _ in range(4))
        self.time = nn.Parameter(torch.randn(2 * REACH + 1, d) * 0.02)
        self.feedforward = nn.Sequential(
            nn.Linear(d, 4 * d), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(4 * d, d)
        )
        self.dropout = nn.Dropout(config.dropout)

    def split(self, x: Tensor) -> Tensor:
        """(n, S, d) to (n, heads, S, d / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    @staticmethod
    def around(x: Tensor, reach: int) -> Tensor:
        """(B, T, ...) to (B, T, 2·reach + 1, ...): each frame's neighbourhood, zeros beyond the ends."""
        padded = F.pad(x, [0, 0] * (x.dim() - 2) + [reach, reach])
        return torch.stack([padded[:, i : i + x.shape[1]] for i in range(2 * reach + 1)], 2)

    def forward(self, x: Tensor, position: Tensor, padding_mask: Tensor, text: TextFeatures) -> Tensor:
        """Refine cells.

        Args:
            x: (B, T, S, d) cells; position: (B, S, d); padding_mask: (B, S), True on padding.
            text: of the B expressions.

        Returns:
            (B, T, S, d).
        """
        clips, frames, cells, _ = x.shape
        # Clips of training are short, and need not read what lies beyond both ends. (Others may be of any length.)
        reach = min(REACH, frames - 1) if torch.is_grad_enabled() else REACH
        time = self.time[REACH - reach : REACH + reach + 1]
        normed = self.norm(x)
        placed = normed + position[:, None]
        words = self.word_norm(text.words)
        key = self.around(self.key(placed), reach) + time[:, None]
        value = self.around(self.value(normed), reach)
        key = torch.cat((key.flatten(2, 3), self.key(words)[:, None].expand(-1, frames, -1, -1)), 2)
        value = torch.cat((value.flatten(2, 3), self.value(words)[:, None].expand(-1, frames, -1, -1)), 2)
        there = self.around((~padding_mask)[:, None, :, None].expand(-1, frames, -1, 1).float(), reach).bool()
        there = torch.cat((there.flatten(2), (~text.padding_mask)[:, None].expand(-1, frames, -1)), 2)
        read = F.scaled_dot_product_attention(
            self.split(self.query(placed).flatten(0, 1)),
            self.split(key.flatten(0, 1)),
            self.split(value.flatten(0, 1)),
            attn_mask=there.flatten(0, 1)[:, None, None],
        )
        read = read.transpose(1, 2).flatten(2).view(clips, frames, cells, -1)
        x = x + self.dropout(self.output(read))
        return x + self.dropout(self.feedforward(self.feedforward_norm(x)))
