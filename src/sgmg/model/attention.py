"""Multi-head attention by the fast parts of the library, whatever the batch and the precision."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgmg.model.onednn import linear


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
        dropout = self.dropout if self.training else 0.0
        read = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, dropout_p=dropout)
        return self.out_proj(read.transpose(1, 2).flatten(2))

    def weights(self, query: Tensor, key: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """How much each query reads each key, a mean over heads: (n, Q, K); arguments as for `forward`."""
        weights = super().forward(query, key, key, key_padding_mask, need_weights=True)[1]
        assert weights is not None
        return weights
