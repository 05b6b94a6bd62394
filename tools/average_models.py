"""The mean of the weights of trained models that began from one and the same: often a little better than each.

    python tools/average_models.py runs/one/model runs/other/model --output runs/mean

What is frozen is the same in all of them.
"""

import argparse
from pathlib import Path

import torch

from sgmg.model import ModelError, SgMg


def main() -> None:
    """Write a model folder; configuration and tokenizer are the first one's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="folders of models of one configuration, or sgmg-lite")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        first, *others = [SgMg.from_pretrained(model) for model in arguments.models]
    except ModelError as error:
        parser.error(str(error))
    if any(other.config != first.config for other in others):
        parser.error("these models are not of one configuration")
    all_weights = [dict(model.named_parameters()) for model in (first, *others)]
    with torch.no_grad():
        for name, weight in first.named_parameters():
            weight.copy_(torch.stack([weights[name] for weights in all_weights]).mean(0))
    first.write_folder(arguments.output)
    print(arguments.output)


if __name__ == "__main__":
    main()
