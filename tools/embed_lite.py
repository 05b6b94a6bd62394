"""Put a trained model folder into the package as its default, in half precision.

    python tools/embed_lite.py runs/sgmg_lite/model --min-score 0.3

The encoders have files of their own, so that a later version adds only what changed. The model card
(README.md) that lies there stays.
"""

import argparse
from pathlib import Path

import torch

from sgmg.model import SgMg

DEFAULT = Path(__file__).parents[1] / "src/sgmg/weights/sgmg-lite"


def main() -> None:
    """Write the embedded model and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--min-score", type=float, help="the model's own threshold below which a mask is empty")
    parser.add_argument("--output", type=Path, default=DEFAULT)
    arguments = parser.parse_args()
    model = SgMg.from_pretrained(arguments.model)
    if arguments.min_score is not None:
        model.config.min_score = arguments.min_score
    model.write_folder(arguments.output, dtype=torch.float16, encoders_apart=True)
    size = sum(file.stat().st_size for file in arguments.output.iterdir())
    print(f"{arguments.output}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
