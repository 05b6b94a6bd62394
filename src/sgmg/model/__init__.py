"""The SgMg network."""

from sgmg.model.config import ModelError, SgMgConfig
from sgmg.model.sgmg import Prediction, SgMg, VisualFeatures
from sgmg.model.text import TextFeatures

__all__ = ["ModelError", "Prediction", "SgMg", "SgMgConfig", "TextFeatures", "VisualFeatures"]
