"""The deformable transformer (Zhu et al., Deformable DETR, ICLR 2021), in plain PyTorch."""

import itertools
import math
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sgmg.model.attention import MultiheadAttention
from sgmg.model.cells import Cells, Shapes
from sgmg.model.config import SgMgConfig
from sgmg.model.onednn import Linear, linear
from sgmg.model.portable import sizes_like

#: Cells that go through a wide layer at once where no gradient is asked for.
ROWS_AT_ONCE = 2048
#: Cells that look around at once where no gradient is asked for: what they compute with stays in a processor's cache.
QUERIES_AT_ONCE = 1024


def sample_levels(value: Tensor, shapes: Shapes, locations: Tensor, weights: Tensor) -> Tensor:
    """Weighted bilinear samples of feature maps at free locations.

    Args:
        value: (n, S, heads, c), the levels' cells one after another, S = Σ h·w.
        shapes: (h, w) of each level.
        locations: (n, Q, heads, levels, points, 2), x and y in [0, 1].
        weights: (n, Q, heads, levels, points).

    Returns:
        (n, Q, heads · c).
    """
    n, _, heads, channels = value.shape
    queries = locations.shape[1]
    grids = (2 * locations - 1).permute(3, 0, 2, 1, 4, 5).flatten(1, 2)  # (levels, n·heads, Q, points, 2)
    level_weights = weights.permute(3, 0, 2, 1, 4).flatten(1, 2)[:, :, None]  # (levels, n·heads, 1, Q, points)
    samples = []  # (n·heads, c, Q) of each level
    maps = value.split([h * w for h, w in shapes], dim=1)
    for level, (h, w), grid, weight in zip(maps, shapes, grids, level_weights, strict=True):
        level = level.permute(0, 2, 3, 1).reshape(n * heads, channels, h, w).to(grid.dtype)
        # Computed again for the gradient: what is sampled is larger than all else that this layer would keep.
        samples.append(checkpoint(_weigh, level, grid, weight, use_reentrant=False, preserve_rng_state=False))
    output = torch.stack(samples).sum(0)
    return output.reshape(n, heads * channels, queries).transpose(1, 2)


def _weigh(level: Tensor, grid: Tensor, weight: Tensor) -> Tensor:
    """Samples (n, c, Q, points) of maps (n, c, h, w), weighted and summed: (n, c, Q)."""
    return (F.grid_sample(level, grid, padding_mode="zeros", align_corners=False) * weight).sum(-1)


def gather_levels(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """`sample_levels` on a CPU, several times as fast, without a gradient.

    A sample is four cells with a weight each, so what a query's head reads is a weighted sum of rows of one table.
    Every map has a border of zeros: places outside of it are moved onto the border.

    Args:
        value, shapes: as for `sample_levels`.
        places: (n, Q, 2, heads, levels, points), x then y in each level's cells, 1 at the centre of the first one;
            overwritten.
        weights: (n, Q, heads, levels, points).

    Returns:
        (n, Q, heads · c).
    """
    n, _, heads, channels = value.shape
    levels, points = places.shape[4:]
    lengths = [(h + 2) * (w + 2) for h, w in shapes]
    first = [0, *itertools.accumulate(lengths)]
    # Rows of samples, one for each (head, level, point), and constants that stand beside them.
    of_level = places.new_tensor([(w + 1, h + 1, w + 2, start) for (h, w), start in zip(shapes, first, strict=False)])
    last_x, last_y, stride, start = of_level.T[:, None, :, None].expand(4, heads, levels, points)
    last = torch.stack((last_x, last_y))
    border = torch.zeros_like(last)
    stride, start = stride * heads, start * heads + torch.arange(heads)[:, None, None]
    corner = torch.stack((torch.zeros_like(stride), torch.full_like(stride, heads), stride, stride + heads), 1).int()
    # The corners beyond the last border count nothing, but must be in the table.
    table = value.new_zeros(sum(lengths) + shapes[-1][1] + 3, heads, channels)
    maps = [
        part.view(h + 2, w + 2, heads, channels)
        for part, (h, w) in zip(table[: sum(lengths)].split(lengths), shapes, strict=True)
    ]
    shares = value.new_empty(min(QUERIES_AT_ONCE, places.shape[1]), heads, 4, levels, points)
    output = []
    for cells, whole_place, whole_weight in zip(value, places, weights, strict=True):
        for bordered, level in zip(maps, cells.split([h * w for h, w in shapes]), strict=True):
            bordered[1:-1, 1:-1] = level.view(bordered[1:-1, 1:-1].shape)
        for place, weight in zip(whole_place.split(QUERIES_AT_ONCE), whole_weight.split(QUERIES_AT_ONCE), strict=True):
            low = place.clamp_(border, last).floor()
            x, y = place.sub_(low).unbind(1)  # (q, heads, levels, points)
            row = torch.addcmul(start, low[:, 1], stride).add_(low[:, 0], alpha=heads).int()
            rows = row[:, :, None] + corner  # (q, heads, 4, levels, points)
            share = shares[: len(place)]
            below = y * weight
            over = weight - below
            right = over * x
            share[:, :, 1], share[:, :, 0] = right, over.sub_(right)
            right = below * x
            share[:, :, 3], share[:, :, 2] = right, below.sub_(right)
            output.append(
                F.embedding_bag(
                    rows.flatten(2).flatten(0, 1),
                    table.flatten(0, 1),
                    mode="sum",
                    per_sample_weights=share.flatten(2).flatten(0, 1),
                )
            )
    return torch.cat(output).view(n, -1, heads * channels)


class DeformableAttention(nn.Module):
    """Each query reads a few learned points around its reference in every level."""

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.heads, self.levels, self.points = config.heads, len(config.strides), config.points
        samples = self.heads * self.levels * self.points
        self.sampling_offsets = nn.Linear(d, samples * 2)
        self.attention_weights = nn.Linear(d, samples)
        self.value_proj = nn.Linear(d, d)
        self.output_proj = nn.Linear(d, d)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Heads look in different directions at first, points one step further each; weights are equal."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack((angle.cos(), angle.sin()), -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)
        bias = direction[:, None, None] * steps[None, None, :, None]
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(bias.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(self, query: Tensor, reference: Tensor, memory: Tensor, shapes: Shapes, padding_mask: Tensor) -> Tensor:
        """Attend from queries to the levels.

        Args:
            query: (n, Q, d).
            reference: (n, Q, levels, 2) points, or (n, Q, levels, 4) boxes (cx, cy, w, h), in [0, 1].
            memory: (n, S, d); shapes: (h, w) of each level; padding_mask: (n, S), True on padding.

        Returns:
            (n, Q, d).
        """
        value = self.value_proj(memory).masked_fill(padding_mask[..., None], 0)
        value = value.view(query.shape[0], -1, self.heads, value.shape[-1] // self.heads)
        if torch.is_grad_enabled() or query.device.type != "cpu" or reference.shape[-1] != 2:
            return self.output_proj(sample_levels(value, shapes, *self.samples(query, reference, shapes)))
        return self.output_proj(gather_levels(value, shapes, *self.places(query, reference, shapes)))

    def samples(self, query: Tensor, reference: Tensor, shapes: Shapes) -> tuple[Tensor, Tensor]:
        """Where each query looks, and how much each place counts; arguments as for `forward`.

        Returns:
            (n, Q, heads, levels, points, 2) places, x and y in [0, 1], and (n, Q, heads, levels, points) weights,
            which sum to 1 over levels and points.
        """
        sampling = (*query.shape[:2], self.heads, self.levels, self.points)
        offsets = self.sampling_offsets(query).view(*sampling, 2)
        weights = self.attention_weights(query).view(*sampling[:3], -1).softmax(-1).view(sampling)
        if reference.shape[-1] == 2:
            sizes = sizes_like([(w, h) for h, w in shapes], query)
            locations = reference[:, :, None, :, None] + offsets / sizes[:, None]
        else:
            centre, extent = reference[:, :, None, :, None].chunk(2, dim=-1)
            locations = centre + offsets / self.points * extent * 0.5
        return locations, weights

    def places(self, query: Tensor, reference: Tensor, shapes: Shapes) -> tuple[Tensor, Tensor]:
        """`samples` around reference points, in cells and in the order that makes arithmetic on them fast.

        Returns:
            (n, Q, 2, heads, levels, points) places, x then y, in each level's cells, 1 at the centre of the first one,
            and (n, Q, heads, levels, points) weights.
        """
        n, queries, _, _ = reference.shape
        sampling = (self.heads, self.levels, self.points)
        # All x before all y, where the weights have them in turns.
        weight, bias = (
            x.unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1)
            for x in (self.sampling_offsets.weight, self.sampling_offsets.bias)
        )
        offsets = linear(query, weight, bias).flatten(0, 1).to(reference.dtype)
        centre = reference * reference.new_tensor([(w, h) for h, w in shapes]) + 0.5  # (n, Q, levels, 2)
        # Each level's centre to its samples: a product with ones and zeros is the fastest way to repeat numbers.
        level = torch.eye(self.levels, device=query.device)[:, None, None, None, :, None]
        axis = torch.eye(2, device=query.device)[None, :, :, None, None, None]
        spread = (level * axis).expand(-1, -1, -1, *sampling).reshape(self.levels * 2, -1)
        with torch.autocast(query.device.type, enabled=False):  # places are float32
            places = torch.addmm(offsets, centre.flatten(2).flatten(0, 1), spread)
        weights = self.attention_weights(query).unflatten(-1, (self.heads, -1)).softmax(-1, dtype=torch.float32)
        return places.view(n, queries, 2, *sampling), weights.view(n, queries, *sampling)


class FewQueriesAttention(DeformableAttention):
    """The same for few queries and many cells: reads the cells first and projects what was read, not every cell.

    Sampling and projection are linear, so either may come first. It has the weights of `DeformableAttention` and
    gives its result up to rounding, with N · heads projections instead of S.
    """

    def forward(self, query: Tensor, reference: Tensor, memory: Tensor, shapes: Shapes, padding_mask: Tensor) -> Tensor:
        """As `DeformableAttention`."""
        n, cells = memory.shape[:2]
        cell, share = corners(shapes, *self.samples(query, reference, shapes))  # (n, Q, heads, corners)
        real = padding_mask.logical_not().to(share.dtype)
        share = share * real.gather(1, cell.flatten(1)).view_as(share)
        row = cell + torch.arange(n, device=cell.device)[:, None, None, None] * cells
        read = torch.einsum("nqhs,nqhsd->nqhd", share.to(memory.dtype), memory.flatten(0, 1)[row])
        weight = self.value_proj.weight.unflatten(0, (self.heads, -1))  # (heads, c, d)
        bias = self.value_proj.bias.unflatten(0, (self.heads, -1)) * share.sum(-1, keepdim=True)
        return self.output_proj((torch.einsum("nqhd,hcd->nqhc", read, weight) + bias).flatten(2))


def corners(shapes: Shapes, locations: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The cells that bilinear samples are made of, and how much each counts.

    Args:
        shapes, locations, weights: as for `sample_levels`.

    Returns:
        (n, Q, heads, levels · points · 4) indices of cells, the levels' cells one after another, and their weights;
        0 outside of the map.
    """
    size = sizes_like([(w, h) for h, w in shapes], locations)[:, None]  # (levels, 1, 2)
    area = size.prod(-1)
    first = (area.cumsum(0) - area).long()  # (levels, 1)
    place = locations * size - 0.5
    low = place.floor()
    part = place - low
    cells, shares = [], []
    for step in itertools.product((0, 1), repeat=2):
        offset = low.new_tensor(step)
        at = low + offset
        inside = ((at >= 0) & (at < size)).all(-1)
        x, y = torch.minimum(at.clamp(min=0), size - 1).long().unbind(-1)
        cells.append(first + y * size[..., 0].long() + x)
        shares.append(weights * inside * torch.where(offset.bool(), part, 1 - part).prod(-1))
    return torch.stack(cells, -1).flatten(3), torch.stack(shares, -1).flatten(3)


class FeedForward(nn.Module):
    """Two linear layers with a residual around them and a norm after."""

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        self.linear1 = Linear(config.hidden_size, config.feedforward)
        self.linear2 = Linear(config.feedforward, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return self._of(x)
        # The wide layer between is never held for all rows at once.
        return torch.cat([self._of(rows) for rows in x.flatten(0, -2).split(ROWS_AT_ONCE)]).view_as(x)

    def _of(self, x: Tensor) -> Tensor:
        hidden = self.dropout(self.linear1(x, "relu"))
        return self.norm(x + self.dropout(self.linear2(hidden)))


class EncoderLayer(nn.Module):
    """Deformable self-attention over all cells of a frame's levels."""

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        self.attention = DeformableAttention(config)
        self.attention_norm = nn.LayerNorm(config.hidden_size)
        self.feedforward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, position: Tensor, reference: Tensor, shapes: Shapes, padding_mask: Tensor) -> Tensor:
        attended = self.attention(x + position, reference, x, shapes, padding_mask)
        return self.feedforward(self.attention_norm(x + self.dropout(attended)))


class DecoderLayer(nn.Module):
    """Self-attention among a frame's queries, then deformable attention to the frame's levels."""

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.self_attention = MultiheadAttention(d, config.heads, config.dropout)
        self.self_attention_norm = nn.LayerNorm(d)
        self.global_attention, self.global_attention_norm = None, None
        if config.global_attention:
            self.global_attention = MultiheadAttention(d, config.heads, config.dropout)
            self.global_attention_norm = nn.LayerNorm(d)
        self.cross_attention = FewQueriesAttention(config)
        self.cross_attention_norm = nn.LayerNorm(d)
        self.feedforward = FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        query: Tensor,
        position: Tensor,
        reference: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        shapes: Shapes,
        padding_mask: Tensor,
    ) -> Tensor:
        placed = query + position
        attended = self.self_attention(placed, placed, query)
        query = self.self_attention_norm(query + self.dropout(attended))
        if self.global_attention is not None and self.global_attention_norm is not None:
            cells = memory + memory_position
            attended = self.global_attention(query + position, cells, cells, padding_mask)
            query = self.global_attention_norm(query + self.dropout(attended))
        attended = self.cross_attention(query + position, reference, memory, shapes, padding_mask)
        return self.feedforward(self.cross_attention_norm(query + self.dropout(attended)))


class MLP(nn.Sequential):
    """Linear layers with ReLU between them."""

    def __init__(self, channels: int, output: int, layers: int = 3) -> None:
        sizes = [channels] * layers + [output]
        parts: list[nn.Module] = []
        for size, following in pairwise(sizes):
            parts += [nn.Linear(size, following), nn.ReLU()]
        super().__init__(*parts[:-1])


@dataclass
class EncodedLevels:
    """Levels of n frames after the encoder: what the decoder reads.

    Attributes:
        memory: (n, S, d).
        cells: where they are, in each of the n frames.
    """

    memory: Tensor
    cells: Cells


@dataclass
class TransformerOutput:
    """n frames, N queries, one entry a decoder layer in each list.

    Attributes:
        memory: one (n, d, h, w) a level: the encoder's output.
        queries: (n, N, d) query embeddings.
        boxes: (n, N, 4) refined boxes (cx, cy, w, h) in [0, 1] of the unpadded frame.
        references: (n, N, 2) refined box centres, without gradient.
    """

    memory: list[Tensor]
    queries: list[Tensor]
    boxes: list[Tensor]
    references: list[Tensor]


class DeformableTransformer(nn.Module):
    """Encoder over fused levels and decoder of instance queries. Frames are the batch."""

    def __init__(self, config: SgMgConfig) -> None:
        super().__init__()
        d = config.hidden_size
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.level_embedding = nn.Parameter(torch.randn(len(config.strides), d))
        self.query_position = nn.Embedding(config.queries, d)
        self.reference_point = nn.Linear(d, 2)
        heads = [MLP(d, 4) for _ in range(config.decoder_layers)]
        self.box_heads = nn.ModuleList(heads)
        nn.init.xavier_uniform_(self.reference_point.weight)
        nn.init.zeros_(self.reference_point.bias)
        for index, head in enumerate(heads):
            last = head[-1]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            if index == 0:  # boxes start small
                nn.init.constant_(last.bias[2:], -2.0)

    def cells(self, padding_masks: list[Tensor]) -> Cells:
        """The cells of levels with padding masks (n, h, w)."""
        return Cells.of(padding_masks, self.level_embedding)

    def forward(self, levels: list[Tensor], cells: Cells, sentence: Tensor) -> TransformerOutput:
        """Encode the levels and decode the queries.

        Args:
            levels: one (n, d, h, w) a level.
            cells: theirs, in each of the n frames.
            sentence: (n, d), every query's content at the start.
        """
        return self.decode(self.encode(levels, cells), sentence)

    def encode(self, levels: list[Tensor], cells: Cells) -> EncodedLevels:
        """Let the cells of all levels see each other; arguments as for `forward`."""
        memory = torch.cat([level.flatten(2).transpose(1, 2) for level in levels], 1)  # (n, S, d)
        cells = replace(cells, positions=cells.positions.to(memory.dtype))
        for layer in self.encoder:
            memory = layer(memory, cells.positions, cells.references, cells.shapes, cells.padding_mask)
        return EncodedLevels(memory, cells)

    def decode(self, encoded: EncodedLevels, sentence: Tensor) -> TransformerOutput:
        """Queries, their boxes and references from encoded levels and sentences (n, d)."""
        memory, cells = encoded.memory, encoded.cells
        output = TransformerOutput([], [], [], [])
        query_position = self.query_position.weight[None].expand(memory.shape[0], -1, -1)  # (n, N, d)
        query = sentence[:, None].expand_as(query_position)
        reference = self.reference_point(query_position).sigmoid()  # (n, N, 2)
        for layer, box_head in zip(self.decoder, self.box_heads, strict=True):
            scale = cells.ratios if reference.shape[-1] == 2 else torch.cat((cells.ratios, cells.ratios), -1)
            scaled = reference[:, :, None] * scale[:, None]
            query = layer(query, query_position, scaled, memory, cells.positions, cells.shapes, cells.padding_mask)
            known = F.pad(inverse_sigmoid(reference), (0, 4 - reference.shape[-1]))
            box = (box_head(query) + known).sigmoid()
            reference = box.detach()
            output.queries.append(query)
            output.boxes.append(box)
            output.references.append(reference[..., :2])
        maps = memory.split([h * w for h, w in cells.shapes], 1)
        output.memory = [
            part.transpose(1, 2).unflatten(2, shape) for part, shape in zip(maps, cells.shapes, strict=True)
        ]
        return output


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """Logits of probabilities, finite at 0 and 1."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))
