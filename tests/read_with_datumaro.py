"""Reads an annotated dataset with datumaro and keeps its masks as a NumPy file.

A program of its own, since datumaro wants other versions of our dependencies: it runs in an environment of its own.

Usage: read_with_datumaro.py DATASET FORMAT HEIGHT WIDTH MASKS.npz
"""

import sys
from collections import defaultdict

import numpy as np
from datumaro.components.annotation import AnnotationType
from datumaro.components.dataset import Dataset
from pycocotools import mask as coco


def main(path: str, form: str, height: str, width: str, output: str) -> None:
    dataset = Dataset.import_from(path, form)
    labels = [label.name for label in dataset.categories()[AnnotationType.label]]
    size = int(height), int(width)
    masks: dict[tuple[str, str], np.ndarray] = defaultdict(lambda: np.zeros(size, bool))
    for item in dataset:
        for annotation in item.annotations:
            if annotation.attributes.get("outside"):
                continue
            key = item.id, labels[annotation.label]
            if annotation.type == AnnotationType.polygon:
                shape = coco.frPyObjects([list(annotation.points)], *size)
                masks[key] |= coco.decode(coco.merge(shape)).astype(bool)
            elif annotation.type == AnnotationType.mask:
                masks[key] |= np.asarray(annotation.image).astype(bool)
    np.savez(output, keys=np.array(list(masks)), **{f"mask{index}": mask for index, mask in enumerate(masks.values())})


main(*sys.argv[1:])
