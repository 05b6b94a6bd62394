"""The overlay of a finished segmentation painted anew, as its visitor's player shows it.

The events are `progress` (of the phase "painting") and `finished`, whose one file is the overlay, or `cancelled`; see
`sgmg.app.jobs`.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sgmg.app.events import Event, ProgressEvents, Tell, events_of
from sgmg.app.interruption import Interruption
from sgmg.app.jobs import download
from sgmg.app.storage import Storage
from sgmg.app.uploads import Upload
from sgmg.errors import InputError
from sgmg.formats import FORMATS
from sgmg.overlay import Look
from sgmg.segmentation import RESULT, Segmentation

OVERLAY = FORMATS["overlay"]
PAINTED = "painted-" + OVERLAY.place


def look_of(colours: Any, opacity: Any) -> Look:
    """What a visitor asks for.

    Raises:
        InputError: that is no look.
    """
    if not isinstance(colours, list):
        raise InputError("Give the colours as a list, one for each sentence, or null for none.")
    if not isinstance(opacity, (int, float)):
        raise InputError("Give the opacity as a number from 0 to 1.")
    return Look(colours, opacity)


@dataclass
class Painting:
    """An overlay that was asked for; only the last one of a segmentation is kept.

    Args:
        ticket: of the segmentation.
        upload: its video.
        look: the wanted colours and opacity.

    Attributes:
        interruption: ends the work.
        ended: set when nothing is done any more.
    """

    ticket: str
    upload: Upload
    look: Look
    interruption: Interruption = field(default_factory=Interruption, init=False)
    ended: threading.Event = field(default_factory=threading.Event, init=False)

    def events(self, storage: Storage) -> Iterator[Event]:
        """Do it. Closing the iterator ends the work.

        Raises:
            InputError: the segmentation is not there any more, or has other sentences.
        """
        try:
            with storage.held(self.ticket), storage.held(self.upload.ticket.partition("/")[0]):
                folder = storage.find(f"{self.ticket}/{RESULT}").parent
                yield from events_of(
                    lambda tell: self._do(folder, tell), self.interruption, f"painting of {self.ticket[:6]}"
                )
        finally:
            self.ended.set()

    def _do(self, folder: Path, tell: Tell) -> None:
        progress = ProgressEvents("painting", self.interruption, tell)
        painted = folder / "painted"
        try:
            with self.upload.called_by_name():
                segmentation = Segmentation.load(folder / RESULT, self.upload.path)
                segmentation.save(painted, OVERLAY.name, overwrite=True, progress=progress, look=self.look)
                (painted / OVERLAY.place).replace(folder / PAINTED)
        except InputError as error:
            raise InputError(str(error).replace(f"{folder}/", "")) from error
        finally:
            shutil.rmtree(painted, ignore_errors=True)
        file = download(OVERLAY.name, self.ticket, folder / PAINTED, self.upload, called=OVERLAY.place)
        tell({"kind": "finished", "files": [file]})
