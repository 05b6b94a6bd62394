"""Ray: a cluster's, joined by its address; or one on this machine, started for a job and gone without a trace."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import ray

from sgmg.clips import Plan
from sgmg.errors import InputError
from sgmg.output import lock_folder
from sgmg.processes import all_cores

_FOLDER = "sgmg-ray-"
"""How names of folders begin in which Ray works."""

_MOST_SECONDS = 10  # for a cluster to answer
_log = logging.getLogger(__name__)


@contextmanager
def ray_running(address: str | None, plan: Plan) -> Iterator[None]:
    """Ray on this machine, started for the block and gone after it without a trace; or a cluster's, by its address.

    Its own logs stay off the terminal unless those of this package are shown.

    Raises:
        InputError: there is no Ray at the address.
    """
    on_end = signal.getsignal(signal.SIGTERM)
    shown = _log.isEnabledFor(logging.INFO)
    quiet: dict[str, Any] = {"log_to_driver": shown, "logging_level": logging.INFO if shown else logging.CRITICAL}
    if not shown:
        for name in ("ray", "ray.data"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    if address is not None:
        _check_reachable(address)
    with ExitStack() as stack:
        options = {"address": address} if address is not None else _here(stack, plan)
        stack.callback(ray.shutdown)
        try:
            with nullcontext() if shown else _stderr_hushed():
                ray.init(**options, **quiet)
        except Exception as error:  # which of them, Ray does not promise
            reason = str(error).partition("\n")[0].rstrip(".")
            where = "here" if address is None else f"at '{address}'"
            raise InputError(f"Ray could not be started or joined {where} ({reason}).") from error
        if on_end is not None:
            signal.signal(signal.SIGTERM, on_end)  # Ray has put its own there
        yield


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        return  # "auto"
    try:
        socket.create_connection((host, int(port)), _MOST_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"There is no Ray at '{address}' ({error}); `ray start` starts one.") from error


def _here(stack: ExitStack, plan: Plan) -> dict[str, Any]:
    """How Ray is started on this machine; what it leaves goes with the stack."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_worker_niceness", "0")  # as the same work without Ray has
    # Or Ray ends processes that read and write while they wait for the network, and starts others, for seconds each.
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "600000")
    # Threads that wait for others of their process would keep the cores from those that read and write.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    short = Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir())  # paths of sockets may not be long
    clear_away(short)
    folder = short / f"{_FOLDER}{secrets.token_hex(4)}"
    lock = lock_folder(folder)
    if lock is not None:
        stack.callback(os.close, lock)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return {
        "address": "local",
        "num_cpus": all_cores(),
        "include_dashboard": False,
        "object_store_memory": _store_size(plan),
        "_temp_dir": str(folder),
    }


def clear_away(parent: Path) -> None:
    """Remove what jobs left there that were killed: who is at work holds the lock of its folder."""
    for folder in parent.glob(f"{_FOLDER}*"):
        with suppress(OSError):  # somebody else's
            lock = lock_folder(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


@contextmanager
def _stderr_hushed() -> Iterator[None]:
    """Nothing on standard error, also of what is not Python: Ray's core says there how much it will log."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _store_size(plan: Plan) -> int:
    """Bytes for the clips on their way."""
    length = plan.cut.length if isinstance(plan.cut.length, int) else 300
    clip = 3 * length * plan.sides[0] * plan.sides[1]
    return max(200 * 2**20, 6 * clip * all_cores())
