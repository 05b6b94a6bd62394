"""What a segmentation can be saved as: one list that the command line, `Segmentation.save` and the web page share.

A format is a name and a context manager that takes frames one by one, so that no video's pixels are ever in memory
together, and several formats cost one pass over the video:

>>> with FORMATS["coco"].open(folder, subject) as write:
...     for found in frames:
...         write(found)

They write what is beside `result.json` in the folder that `Segmentation.save` makes; docs/formats.md says for each who
reads it and what is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sgmg.errors import InputError

if TYPE_CHECKING:
    from sgmg.formats.frames import FoundFrame, Subject

Write = Callable[["FoundFrame"], None]
"""Takes one frame; they come in the order of their times."""

DEFAULT_FORMATS = ("overlay", "masks")


@dataclass(frozen=True)
class Format:
    """One way to save a segmentation.

    Attributes:
        name: as `--format` has it.
        place: the file or folder that it writes, below the result's folder.
        summary: what that is, in a few words.
        family: the module of `sgmg.formats` that writes it.
        needs_frames: whether the video's pictures are needed, not only the masks.
    """

    name: str
    place: str
    summary: str
    family: Literal["video", "images", "annotations"]
    needs_frames: bool = True

    def open(self, folder: Path, subject: Subject) -> AbstractContextManager[Write]:
        """Begin to write below `folder`; all of it is there when the context ends without an error.

        Raises:
            InputError: the format cannot hold this subject.
        """
        module = import_module(f"sgmg.formats.{self.family}")
        writer: Callable[[Path, Subject], AbstractContextManager[Write]] = getattr(module, self.name.replace("-", "_"))
        return writer(folder / self.place, subject)


FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        Format("overlay", "overlay.mp4", "H.264 to look at: coloured masks and their expressions", "video"),
        Format("cutout-webm", "cutout-webm", "each object alone on transparency, VP9 for the web", "video"),
        Format("cutout-prores", "cutout-prores", "each object alone on transparency, ProRes 4444 for editors", "video"),
        Format("cutout-png", "cutout-png", "each object alone on transparency, an image a frame", "images"),
        Format("blur", "blur.mp4", "H.264 with the objects blurred", "video"),
        Format("blur-background", "blur-background.mp4", "H.264 with everything but the objects blurred", "video"),
        Format("pixelate", "pixelate.mp4", "H.264 with the objects in coarse blocks", "video"),
        Format("pixelate-background", "pixelate-background.mp4", "H.264 with all else in coarse blocks", "video"),
        Format("grey-background", "grey-background.mp4", "H.264 with only the objects in colour", "video"),
        Format("masks", "masks", "PNG of 0 and 255, an image a frame and expression", "images", needs_frames=False),
        Format("davis", "davis", "palette PNG of object ids, an image a frame", "images", needs_frames=False),
        Format("npz", "masks.npz", "NumPy arrays of masks, boxes, scores and times", "images", needs_frames=False),
        Format("coco", "coco", "COCO instances with run-length encoded masks, and the frames", "annotations"),
        Format("youtube-vis", "youtube-vis", "YouTube-VIS tracks, and the frames", "annotations"),
        Format("ref-youtube-vos", "ref-youtube-vos", "R-VOS expressions, palette PNG, and the frames", "annotations"),
        Format("yolo", "yolo", "YOLO segmentation polygons, and the frames", "annotations"),
        Format("cvat", "cvat.xml", "CVAT for video, polygon tracks", "annotations", needs_frames=False),
    )
}
"""Every format by its name."""


def choose_formats(names: str | Iterable[str]) -> list[Format]:
    """The formats of these names, each once, in the order given.

    Raises:
        InputError: there is none of a name, or no name at all.
    """
    wanted = list(dict.fromkeys([names] if isinstance(names, str) else names))
    if not wanted:
        raise InputError(f"There is no format to save as; choose from {', '.join(FORMATS)}.")
    for name in wanted:
        if name not in FORMATS:
            raise InputError(f"There is no format '{name}'; choose from {', '.join(FORMATS)}.")
    return [FORMATS[name] for name in wanted]
