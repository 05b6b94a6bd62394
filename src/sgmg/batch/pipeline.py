"""The stages as a stream of Ray Data: videos are read, looked at and written at the same time, on all machines.

Ray Data holds a stage back while the one after it has enough waiting, so that what is in memory is a few clips for each
process, however many videos there are. The model is loaded once by each of a pool of actors. Reading and writing are
tasks, of a limited number, that ask for no core of their own: if they did, actors that have moved from a machine that
died to the cores of another could keep them waiting for ever.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ray
import ray.data
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sgmg.batch.stages import Event, Ledger, Row, StreamBrokeError, Work, look_at_clip, read_clips, task_row, write_clip
from sgmg.batch.videos import VideoTask
from sgmg.errors import InputError

if TYPE_CHECKING:
    from sgmg.engines.pytorch import Dtype

_ATTEMPTS = 3
"""How often Ray repeats what a process was doing when it died, before the video counts as lost."""

_SMALLEST_BLOCK = 2**20  # bytes after which Ray Data passes on what a stage has made: about a clip
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """What an actor loads.

    Attributes:
        name: a model folder, an embedded model, or a Hub id, as results call it.
        place: the same where all machines find it: a folder's absolute path.
        device: as PyTorch names it, or "auto".
        dtype: "float32" or "bfloat16".
    """

    name: str | None = None
    place: str | None = None
    device: str = "auto"
    dtype: Dtype = "float32"


@dataclass(frozen=True)
class Pool:
    """The actors, each with the model.

    Attributes:
        actors: how many.
        threads: CPU threads of each.
        gpus: GPUs of each; a fraction where several share one.
        beside: videos that are read at the same time, and those that are written.
    """

    actors: int
    threads: int
    gpus: float
    beside: int


def choose_pool(actors: int | None, threads: int | None, gpus: float | None, cpu_only: bool) -> Pool:
    """As many actors as the machines that Ray has found give room for, unless they are given.

    Raises:
        InputError: there is no room for them.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = sum(int(machine.get("CPU", 0)) for machine in machines)
    if gpus is None:
        gpus = 1.0 if any(machine.get("GPU") for machine in machines) and not cpu_only else 0.0
    if threads is None:
        smallest = min(int(machine.get("CPU", 1)) for machine in machines)
        # Two actors of one thread look at more than one of two, since threads of one process wait for each other.
        share = cores // actors if actors else smallest // 2
        threads = 1 if gpus else max(1, min(4, share, smallest))
    room = sum(_room(machine, threads, gpus) for machine in machines)
    if (actors or 1) > room:
        raise InputError(
            f"There is no room for {actors or 1} actors of {threads} threads and {gpus:g} GPUs, but for {room}; give "
            "fewer --actors, or less for each."
        )
    actors = actors or room
    return Pool(actors, threads, gpus, beside=max(actors, (cores - actors * threads) // 2))


def _room(machine: dict[str, float], threads: int, gpus: float) -> int:
    """How many actors a machine holds."""
    by_cores = int(machine.get("CPU", 0)) // threads
    return min(by_cores, math.floor(machine.get("GPU", 0) / gpus)) if gpus else by_cores


# --- the stream -------------------------------------------------------------------------------------------


class _Looker:
    """An actor with the model."""

    def __init__(self, model: Model, threads: int, work: Work) -> None:
        from sgmg.segmenter import ClipLooker, Segmenter

        segmenter = Segmenter.from_pretrained(model.place, model.device, model.dtype, threads)
        segmenter.name = model.name or segmenter.name
        self._look, self._work = ClipLooker(segmenter, work.plan), work

    def __call__(self, row: Row) -> Row:
        return look_at_clip(row, self._look, self._work)


class _Writer:
    """The last stage: what it tells the ledger, and what it says of each clip."""

    def __init__(self, work: Work, ledger: Any) -> None:
        self._work, self._ledger = work, ledger

    def __call__(self, row: Row) -> Row:
        event = write_clip(row, self._work, lambda *clip: ray.get(self._ledger.arrived.remote(*clip)))
        return {"name": event.name, "frames": event.frames, "finished": event.finished, "error": event.error or ""}


def stream(tasks: Sequence[VideoTask], work: Work, model: Model, pool: Pool) -> Iterator[Event]:
    """Do the work on videos; what becomes of each clip comes as it happens.

    A video of which nothing is said at the end was lost with the processes that worked on it.

    Raises:
        StreamBrokeError: no actor could be started, or something else that is no single video's trouble.
    """
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.target_max_block_size = _SMALLEST_BLOCK
    context.max_errored_blocks = -1  # of what died with a process nothing is said, and so it counts as lost
    context.max_consecutive_actor_init_deaths = _ATTEMPTS
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    ledger = ray.remote(Ledger).options(num_cpus=0, scheduling_strategy=here).remote()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there is no other way yet to say `max_retries`
        data = _stages(tasks, work, model, pool, ledger)
    try:
        for row in data.iter_rows():
            yield Event(row["name"], row["frames"], row["finished"], row["error"] or None)
    except ray.exceptions.RayError as error:
        _log.warning("the stream broke down", exc_info=error)
        raise StreamBrokeError(str(error).strip().splitlines()[-1].strip()) from error


def _stages(tasks: Sequence[VideoTask], work: Work, model: Model, pool: Pool, ledger: Any) -> ray.data.Dataset:
    beside: dict[str, Any] = {"num_cpus": 0, "concurrency": pool.beside, "max_retries": _ATTEMPTS}
    data: ray.data.Dataset = ray.data.from_items([task_row(task) for task in tasks], override_num_blocks=len(tasks))
    data = data.flat_map(read_clips, fn_kwargs={"work": work}, **beside)  # type: ignore[arg-type]
    data = data.map(
        _Looker,  # type: ignore[arg-type]
        fn_constructor_kwargs={"model": model, "threads": pool.threads, "work": work},
        # A pool that may shrink gives the cores of actors that are done to others that lost their machine.
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=pool.actors, initial_size=pool.actors),
        num_cpus=pool.threads,
        num_gpus=pool.gpus,
        max_restarts=-1,
        max_task_retries=_ATTEMPTS,
    )
    return data.map(_Writer(work, ledger).__call__, **beside)
