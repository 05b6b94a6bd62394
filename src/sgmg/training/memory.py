"""Memory that one training step frees is there for the next one.

glibc takes large tensors from the operating system and gives them back one by one. Each time their pages are cleared
and mapped anew, which takes longer than most of what is then computed with them: of a step of Video-Swin-T on a CPU,
almost half the time. Kept in the process, memory is mapped once; what is kept has gaps, about a third more.
"""

import ctypes
import os
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.accelerators import CPUAccelerator

from sgmg.processes import peak_memory

#: Share of the machine's memory that a step may take for freed memory to be kept.
LARGEST_SHARE = 2 / 3

# Options of mallopt(3), and their values while memory is kept (never trimmed, nothing mapped on its own) and otherwise.
_TRIM_THRESHOLD, _MOST_MAPPED = -1, -4
_KEEPING = {_TRIM_THRESHOLD: -1, _MOST_MAPPED: 0}
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MOST_MAPPED: 65_536}


class FreedMemory(Callback):
    """On CPUs, memory that is freed is kept from the second batch on, if the first one left room for the gaps."""

    def __init__(self) -> None:
        self._decided = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Decide, once."""
        if not self._decided and isinstance(trainer.accelerator, CPUAccelerator):
            peak, memory = peak_memory(), machine_memory()
            if peak is not None and memory is not None and peak * trainer.num_devices <= LARGEST_SHARE * memory:
                keep_freed_memory()
        self._decided = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give it back."""
        if self._decided:
            return_freed_memory()


def keep_freed_memory() -> None:
    """Keep all memory that is freed in this process, where it is glibc that gives it."""
    _set(_KEEPING)


def return_freed_memory() -> None:
    """Return freed memory to the operating system: all that is there, and from now on what glibc returns by itself."""
    libc = _set(_DEFAULTS)
    if libc is not None:
        libc.malloc_trim(0)


def _set(options: dict[int, int]) -> Any:
    try:
        libc = ctypes.CDLL(None)
        for option, value in options.items():
            libc.mallopt(option, value)
    except (AttributeError, OSError, TypeError):  # another library of C
        return None
    return libc


def machine_memory() -> int | None:
    """Bytes that this process and others may have: of the machine, or of the container they are in."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):  # none, or "max"
        return memory
    return min(memory, limit)
