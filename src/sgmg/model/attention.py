"""Multi-head attention by the fast parts of the library, whatever the batch and the precision."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.onednn import linear

#: Up to so many keys, CPUs are faster with attention as it is written, in training.
FEW_KEYS = 64


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Scaled dot-product attention, by the fastest way there is here.

    PyTorch's own is made for many keys: on CPUs its gradient takes longer than that of attention as it is written where
    the keys are an expression's words.

    Args:
        query: (n, heads, Q, c).
        key, value: (n, heads, K, c).
        mask: (n, 1, 1, K) bool, True on what is read, or float, added to the scores.
        dropout: share of the weights that is left out.

    Returns:
        (n, heads, Q, c).
    """
    if not torch.is_grad_enabled() or query.device.type != "cpu" or key.shape[2] > FEW_KEYS:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    if mask is not None:
        scores = scores.masked_fill(mask.logical_not(), -math.inf) if mask.dtype == torch.bool else scores + mask
    return F.dropout(scores.softmax(-1), dropout) @ value


class MultiheadAttention(nn.MultiheadAttention):
    """`torch.nn.MultiheadAttention` with the batch first: its weights, and its result up to rounding.

    PyTorch's own transposes batches on the way to its projections, which without a gradient then become one small
    product for each key (bfloat16, two expressions or two frames: eight times the time).
    """

    def __init__(self, channels: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__(channels, heads, dropout, batch_first=True)

    def forward(  # type: ignore[override]
        self, query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Tensor | None = None
    ) -> Tensor:
        """Read the values.

        Args:
            query: (n, Q, d).
            key, value: (n, K, d).
            key_padding_mask: (n, K) bool, True on what is not read, or float, added to what each key scores.

        Returns:
            (n, Q, d).
        """
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        queries, keys, values = (
            linear(x, weight, bias).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        mask = key_padding_mask
        if mask is not None:
            mask = mask.logical_not() if mask.dtype == torch.bool else mask.to(queries.dtype)
            mask = mask[:, None, None]
        read = attend(queries, keys, values, mask, self.dropout if self.training else 0.0)
        return self.out_proj(read.transpose(1, 2).flatten(2))

    def weights(self, query: Tensor, key: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """How much each query reads each key, a mean over heads: (n, Q, K); arguments as for `forward`."""
        weights = super().forward(query, key, key, key_padding_mask, need_weights=True)[1]
        assert weights is not None
        return weights
