"""F per mask: ours against whole-image dilation with a disc, as the DAVIS 2017 evaluation describes it.

Both run on one core, in turns, on the same masks; their values must be identical. Needs scikit-image.

    python benchmarks/boundary_accuracy.py
"""

import argparse
import math
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from skimage.filters import gaussian
from skimage.morphology import binary_dilation, disk

from sgmg.evaluation import boundary_accuracy

SIZES = {"480p": (480, 854), "720p": (720, 1280), "1080p": (1080, 1920)}
SHARES = {"small object": 0.02, "large object": 0.2, "most of the frame": 0.7}
ASKED = 3.0  # times as fast, on every kind of mask


def plain_boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels whose right, lower or lower right neighbour differs; the border repeats itself."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return (here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:])


def plain_boundary_accuracy(predicted: np.ndarray, annotated: np.ndarray) -> float:
    """F of a frame, straightforwardly."""
    disc = disk(math.ceil(0.008 * math.hypot(*predicted.shape)))
    predicted_boundary, annotated_boundary = plain_boundary(predicted), plain_boundary(annotated)
    if not predicted_boundary.any() or not annotated_boundary.any():
        return float(predicted_boundary.any() == annotated_boundary.any())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # newer scikit-image wishes for another name
        near_predicted = binary_dilation(predicted_boundary, disc)
        near_annotated = binary_dilation(annotated_boundary, disc)
    precision = (predicted_boundary & near_annotated).sum() / predicted_boundary.sum()
    recall = (annotated_boundary & near_predicted).sum() / annotated_boundary.sum()
    return 0.0 if precision + recall == 0 else float(2 * precision * recall / (precision + recall))


def masks(size: tuple[int, int], share: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A blob with a rough outline that covers a share of the frame, and a guess of it."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    radius = math.sqrt(share * height * width / math.pi)
    centre = np.array(size) * generator.uniform(0.4, 0.6, 2)
    distance = np.hypot(y - centre[0], x - centre[1]) / radius
    rough = gaussian(generator.standard_normal(size), 6)
    annotation = distance + 4 * rough < 1
    guess = (
        np.roll(distance, generator.integers(-6, 7, 2), (0, 1))
        + 4 * rough
        + 2 * gaussian(generator.standard_normal(size), 3)
    )
    return guess < 1, annotation


def fastest(function: Callable[[], float], repeats: int) -> tuple[float, float]:
    """Seconds of the fastest of several calls, and what it gave."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = function()
        times.append(time.perf_counter() - start)
    return min(times), value


def main() -> int:
    """Print a line for each kind of mask; 1 where values differ or the ratio is too small."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=3, help="of each kind")
    parser.add_argument("--repeats", type=int, default=3, help="of which the fastest counts")
    arguments = parser.parse_args()
    generator = np.random.default_rng(0)
    failed = False
    print(f"{'frame':6} {'mask':18} {'plain ms':>9} {'ours ms':>9} {'ratio':>7}")
    for name, size in SIZES.items():
        for kind, share in SHARES.items():
            plain = ours = 0.0
            for _ in range(arguments.masks):
                predicted, annotated = masks(size, share, generator)
                mine, value = fastest(
                    lambda p=predicted, a=annotated: float(boundary_accuracy(p[None], a[None])[0]), arguments.repeats
                )
                theirs, expected = fastest(
                    lambda p=predicted, a=annotated: plain_boundary_accuracy(p, a), arguments.repeats
                )
                plain, ours, failed = plain + theirs, ours + mine, failed or value != expected
                if value != expected:
                    print(f"{name} {kind}: {value} is not {expected}")
            ratio = plain / ours
            failed = failed or ratio < ASKED
            milliseconds = [1000 * seconds / arguments.masks for seconds in (plain, ours)]
            print(f"{name:6} {kind:18} {milliseconds[0]:9.2f} {milliseconds[1]:9.2f} {ratio:7.1f}")
    print("Values differ or the ratio is too small." if failed else "Values are identical.")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
