"""The SgMg network."""

from importlib import import_module
from typing import TYPE_CHECKING

from sgmg.model.config import PIXEL_DEVIATION, PIXEL_MEAN, ModelError, SgMgConfig

if TYPE_CHECKING:
    from sgmg.model.sgmg import Prediction, SgMg, VisualFeatures
    from sgmg.model.text import TextFeatures

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

# Imported when first asked for: what runs exported models needs the configuration, and no PyTorch.
_HOMES = {
    "Prediction": "sgmg.model.sgmg",
    "SgMg": "sgmg.model.sgmg",
    "TextFeatures": "sgmg.model.text",
    "VisualFeatures": "sgmg.model.sgmg",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'sgmg.model' has no attribute '{name}'")
