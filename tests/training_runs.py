"""Trainings to look at: their recipe, and what they leave."""

import csv
from pathlib import Path
from typing import Any

import torch
import yaml

from sgmg.model import SgMg
from sgmg.training.recipe import Recipe, read_recipe


def recipe_of(settings: dict[str, Any], tmp_path: Path, *changes: str) -> Recipe:
    """The recipe that these settings make when they are read from a file."""
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(settings))
    return read_recipe(path, changes)


def logged(run: Path, name: str = "train/loss") -> dict[int, float]:
    """What the run's CSV logs say, by optimiser step; later logs win."""
    values = {}
    for path in sorted(run.glob("csv/*/metrics.csv")):
        for row in csv.DictReader(path.open()):
            if row.get(name):
                values[int(row["step"])] = float(row[name])
    return values


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a model folder."""
    return SgMg.from_pretrained(folder).state_dict()
