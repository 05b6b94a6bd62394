"""How well a model's scores tell what is in real photographs from what is not.

    python tools/check_photographs.py [MODEL]

Seven photographs that come with scikit-image, scikit-learn and Matplotlib, under a slow camera, each with sentences
about what is in it and about what is not. Printed are the score of each sentence in its best frame, and: of all pairs
of a sentence that is true and one that is not, of the same photograph, how many have the higher score for the true
one; and how many sentences the model's own threshold treats rightly. A photograph has no motion of its own, and these
are few: this is a look, not a benchmark, and nothing should be tuned to it.
"""

from __future__ import annotations

import argparse

import matplotlib.cbook
import numpy as np
import skimage.data
from card_pictures import camera
from PIL import Image
from sklearn.datasets import load_sample_image

from sgmg import Segmenter
from sgmg.errors import InputError

#: What may be asked for anywhere.
THINGS = ["a person", "a dog", "a cat", "a car", "a bicycle", "a cup", "a ball", "a horse", "the man in the red shirt"]


def photographs() -> dict[str, tuple[np.ndarray, list[str], list[str]]]:
    """Each with sentences that are true of it, and with those of `THINGS` that may be taken for true."""
    hopper = np.asarray(
        Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)).convert("RGB")
    )
    return {
        "cat": (skimage.data.chelsea(), ["the cat", "the animal", "a kitten"], ["a cat"]),
        "coffee": (skimage.data.coffee(), ["the cup", "the mug", "the spoon"], ["a cup"]),
        "astronaut": (
            skimage.data.astronaut(),
            ["the woman", "the person", "the person in the orange suit", "the astronaut"],
            ["a person", "the man in the red shirt"],
        ),
        "rocket": (skimage.data.rocket(), ["the rocket"], []),
        "officer": (hopper, ["the woman", "the person"], ["a person"]),
        "flower": (load_sample_image("flower.jpg"), ["the flower"], []),
        "palace": (load_sample_image("china.jpg"), ["the building"], []),
    }


def main() -> None:
    """Print scores and their summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", help="a model folder; by default the embedded model")
    try:
        segmenter = Segmenter.from_pretrained(parser.parse_args().model, device="cpu")
    except InputError as error:
        parser.error(str(error))
    threshold = segmenter.config.min_score
    there, missing, right, pairs = [], [], 0, 0
    for name, (photo, true, unsure) in photographs().items():
        false = [thing for thing in THINGS if thing not in unsure]
        scores = segmenter(camera(photo), [*true, *false], min_score=0.0).frame_scores.max(1)
        told = [f"{sentence} {score:.2f}" for sentence, score in zip([*true, *false], scores, strict=True)]
        print(f"{name}: {', '.join(told[: len(true)])}; not there: {', '.join(told[len(true) :])}")
        high, low = scores[: len(true)], scores[len(true) :]
        right, pairs = right + int((high[:, None] > low).sum()), pairs + high.size * low.size
        there.extend(high)
        missing.extend(low)
    shown, empty = np.mean(np.array(there) >= threshold), np.mean(np.array(missing) < threshold)
    print(f"of {pairs} pairs {right / pairs:.1%} right; at {threshold:.2f} {shown:.1%} of {len(there)} shown, ", end="")
    print(f"{empty:.1%} of {len(missing)} left empty")


if __name__ == "__main__":
    main()
