"""Generated videos in the layouts of the benchmarks: one module a benchmark, each with a `Layout`."""

from sgmg.data.synthetic.layouts.a2d import A2DLayout
from sgmg.data.synthetic.layouts.jhmdb import JHMDBLayout
from sgmg.data.synthetic.layouts.layout import Folder, Layout, Part
from sgmg.data.synthetic.layouts.mevis import MeViSLayout
from sgmg.data.synthetic.layouts.ref_davis import RefDAVIS17Layout, RefDAVIS17RawLayout
from sgmg.data.synthetic.layouts.ref_youtube_vos import RefYouTubeVOSLayout
from sgmg.data.synthetic.layouts.refcoco import RefCOCOLayout
from sgmg.errors import InputError

__all__ = ["LAYOUTS", "Folder", "Layout", "Part", "open_layout"]

_ALL: tuple[Layout, ...] = (
    RefYouTubeVOSLayout(),
    RefDAVIS17Layout(),
    RefDAVIS17RawLayout(),
    A2DLayout(),
    JHMDBLayout(),
    RefCOCOLayout("refcoco"),
    RefCOCOLayout("refcoco+"),
    RefCOCOLayout("refcocog"),
    MeViSLayout(),
)
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in _ALL}


def open_layout(name: str) -> Layout:
    """The layout of a name.

    Raises:
        InputError: there is none.
    """
    if name not in LAYOUTS:
        raise InputError(f"Unknown layout '{name}': use one of {', '.join(LAYOUTS)}.")
    return LAYOUTS[name]
