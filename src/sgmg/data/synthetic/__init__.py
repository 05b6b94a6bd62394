"""Generated referring-video data: moving things, exact masks, and sentences true of exactly one of them."""

from sgmg.data.synthetic.expressions import KINDS, Expression
from sgmg.data.synthetic.generator import SyntheticConfig, SyntheticObject, SyntheticVideo, SyntheticVideos

__all__ = [
    "KINDS",
    "Expression",
    "SyntheticClips",
    "SyntheticConfig",
    "SyntheticObject",
    "SyntheticVideo",
    "SyntheticVideos",
]


def __getattr__(name: str) -> object:
    # SyntheticClips needs torch; writing videos does not, and starts faster without.
    if name == "SyntheticClips":
        from sgmg.data.synthetic.clips import SyntheticClips

        return SyntheticClips
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
