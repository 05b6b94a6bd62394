"""Referring video object segmentation: a video and a sentence in, that object's mask in every frame out.

>>> from sgmg import Segmenter
>>> segmenter = Segmenter.from_pretrained()
>>> result = segmenter("dog.mp4", ["the dog", "the woman throwing a ball"])
>>> result.save("out")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sgmg.model import SgMg, SgMgConfig
    from sgmg.progress import Cancelled, cancellable
    from sgmg.segmentation import Segmentation
    from sgmg.segmenter import Segmenter

__all__ = ["Cancelled", "Segmentation", "Segmenter", "SgMg", "SgMgConfig", "__version__", "cancellable"]

# Imported when first asked for: torch takes seconds, and `sgmg --help` needs none of it.
_HOMES = {
    "Cancelled": "sgmg.progress",
    "Segmentation": "sgmg.segmentation",
    "Segmenter": "sgmg.segmenter",
    "SgMg": "sgmg.model",
    "SgMgConfig": "sgmg.model",
    "cancellable": "sgmg.progress",
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("sgmg")
        except PackageNotFoundError:  # a source tree that is not installed
            return "0+unknown"
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'sgmg' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
