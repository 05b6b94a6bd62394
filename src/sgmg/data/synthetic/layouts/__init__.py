"""Generated videos in the layouts of the benchmarks: one module a benchmark, each with a `Layout`."""

from sgmg.data.synthetic.layouts.a2d import A2DLayout
from sgmg.data.synthetic.layouts.jhmdb import JHMDBLayout
from sgmg.data.synthetic.layouts.layout import Folder, Layout, Part
from sgmg.data.synthetic.layouts.ref_youtube_vos import RefYouTubeVOSLayout
from sgmg.errors import InputError

__all__ = ["LAYOUTS", "Folder", "Layout", "Part", "open_layout"]

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (RefYouTubeVOSLayout(), A2DLayout(), JHMDBLayout())}


def open_layout(name: str) -> Layout:
    """The layout of a name.

    Raises:
        InputError: there is none.
    """
    if name not in LAYOUTS:
        raise InputError(f"Unknown layout '{name}': use one of {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]
