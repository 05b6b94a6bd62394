"""The SgMg network."""

from sgmg.model.config import ModelError, SgMgConfig
from sgmg.model.sgmg import Prediction, SgMg, VisualFeatures
from sgmg.model.text import TextFeatures
from sgmg.model.visual import PIXEL_DEVIATION, PIXEL_MEAN

__all__ = [
    "PIXEL_DEVIATION",
    "PIXEL_MEAN",
    "ModelError",
    "Prediction",
    "SgMg",
    "SgMgConfig",
    "TextFeatures",
    "VisualFeatures",
]
