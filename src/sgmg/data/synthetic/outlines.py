"""Masks as polygons that rasterise to exactly the same pixels."""

import numpy as np

#: By the direction of travel (dx, dy): the same turned right, straight on, turned left; y points down.
_TURNS = {(dx, dy): ((-dy, dx), (dx, dy), (dy, -dx)) for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1))}


def outlines(mask: np.ndarray) -> list[list[int]]:
    """Polygons along the edges of a mask's pixels, whose union is the mask.

    Polygons have no holes: a mask with holes is cut through them.

    Args:
        mask: (H, W) bool.

    Returns:
        Lists of x, y, x, y, …; none where the mask is empty.
    """
    rings = _rings(mask)
    for ring in rings:
        if _area(ring) < 0:
            # Cut where the hole begins: it lies open then.
            cut = min(x for x, _ in ring)
            left, right = mask.copy(), mask.copy()
            left[:, cut:] = False
            right[:, :cut] = False
            return outlines(left) + outlines(right)
    return [[coordinate for point in ring for coordinate in point] for ring in rings]


def _rings(mask: np.ndarray) -> list[list[tuple[int, int]]]:
    """Closed walks along pixel edges with the mask on the right hand; corners only."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    ways: dict[tuple[int, int], set[tuple[int, int]]] = {}
    # For each side of a pixel where the mask ends: where the walk along it starts, and its direction.
    for side, (right, down), way in (
        (inside & ~padded[:-2, 1:-1], (0, 0), (1, 0)),
        (inside & ~padded[1:-1, 2:], (1, 0), (0, 1)),
        (inside & ~padded[2:, 1:-1], (1, 1), (-1, 0)),
        (inside & ~padded[1:-1, :-2], (0, 1), (0, -1)),
    ):
        for y, x in np.argwhere(side).tolist():
            ways.setdefault((x + right, y + down), set()).add(way)
    left = {(point, way): None for point in sorted(ways) for way in sorted(ways[point])}  # a set that keeps its order
    rings = []
    while left:
        step = first = next(iter(left))
        ring = []
        while True:
            del left[step]
            (x, y), way = step
            point = (x + way[0], y + way[1])
            # Where pixels touch at a corner only, turning right keeps to the same one.
            turned = next(turn for turn in _TURNS[way] if turn in ways[point])
            if turned != way:
                ring.append(point)
            step = (point, turned)
            if step == first:
                break
        rings.append(ring)
    return rings


def _area(ring: list[tuple[int, int]]) -> int:
    """Twice the area, negative where the walk goes round a hole."""
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(ring, ring[1:] + ring[:1], strict=True))
