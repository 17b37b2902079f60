"""This process's connection to a Ray cluster, shared by all engines that need one."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from lpt_core import EndpointError

_lock = threading.Lock()
_users = 0
_down: threading.Event | None = None
_thread: threading.Thread | None = None


def connect(address: str | None) -> None:
    """Connect, or join those who are connected; start a cluster of this machine where there is none.

    Ray's reports of usage are off, and so are the dashboard of a cluster that is started here, and the
    copies of the replicas' output.

    Args:
        address: See ``RayEndpoint``.

    Raises:
        EndpointError: There is no cluster at this address, or none can be started.
    """
    global _users, _down, _thread
    with _lock:
        if not _users and not _ray().is_initialized():
            _down, up, failed = threading.Event(), threading.Event(), list[Exception]()
            _thread = threading.Thread(target=_hold, args=(address, up, _down, failed), name="lpt-ray")
            _thread.daemon = True
            _thread.start()
            up.wait()
            if failed:
                where = f"the Ray cluster at {address}" if address else "a Ray cluster"
                raise EndpointError(
                    f"{where} cannot be reached: {str(failed[0]).strip()[:500]}",
                    "`ray status` tells whether there is one; `ray start --head` starts one",
                ) from failed[0]
        _users += 1


def disconnect() -> None:
    """Leave; the last to do so ends the connection, and a cluster that was started for it."""
    global _users, _down, _thread
    with _lock:
        _users -= 1
        if _users or _down is None or _thread is None:
            return
        _down.set()
        _thread.join()
        _down = _thread = None


def _hold(address: str | None, up: threading.Event, down: threading.Event, failed: list[Exception]) -> None:
    """Connect, and disconnect when told to.

    In a thread of its own, that lives as long as the connection: in the main thread Ray would take over
    SIGTERM, by which a run is told to stop, and the processes of a cluster die with the thread that started
    them.
    """
    try:
        _ray().init(
            address=address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
        )
    except Exception as error:  # as many kinds as there are ways not to reach a cluster
        failed.append(error)
        return
    finally:
        up.set()
    down.wait()
    _ray().shutdown()


def _ray() -> Any:
    # Read when Ray is imported, here and in the processes that it starts.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Replicas run in the environment that lpt-synth is in, also where `uv run` has started it.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    # Without it Ray warns at every start that it will one day leave CUDA_VISIBLE_DEVICES alone; now it does.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    return ray
