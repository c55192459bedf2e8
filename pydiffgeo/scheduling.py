"""The same function of many things: here, one after the other, or over the worker processes of a Dask scheduler.

Few things are on their way at any time, each failure stays by itself, and what a worker that dies had begun is begun
again by another. Workers are spawned, never forked; each starts Julia once, when it first needs it.
"""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, runtime_checkable

from .checks import is_whole, shown
from .errors import InputError, MissingPackageError, PydiffgeoError, SchedulerError

if TYPE_CHECKING:
    from distributed import Client

T = TypeVar("T")
R = TypeVar("R")
# Things on their way for each thread of a worker: one at work, and one that waits for it to be free.
AHEAD = 2
# Seconds to wait for the scheduler, and for its first worker.
PATIENCE = 300.0
# Engines keep what they compiled by process, and are not made to be entered by several threads at once.
_one_at_a_time = threading.Lock()


@runtime_checkable
class DaskCluster(Protocol):
    """A cluster of Dask, such as `distributed.LocalCluster` or those of dask-jobqueue."""

    scheduler_address: str


# An address, a number of worker processes on this machine, a cluster, a client, or None: this process.
Scheduler: TypeAlias = "str | int | DaskCluster | Client | None"


def each(
    function: Callable[[T], R], things: Iterable[tuple[str, T]], scheduler: Scheduler = None
) -> Iterator[tuple[str, R | PydiffgeoError]]:
    """`function` of each thing by its name: what it returned, or the error of pydiffgeo that it raised, as they come.

    Things are taken only when a worker is about to be free, so that they may be made, or read, on the way.

    Args:
        function: that its module names, or one of the program itself (`__main__`), as it is sent to workers.
        things: name and thing, which is sent as well.
        scheduler: the address of a Dask scheduler such as "tcp://host:8786", a number of worker processes to start
            here, a `distributed` cluster or client, or None for this process. A program that starts workers must
            guard what it does by `if __name__ == "__main__":`.

    Raises:
        InputError: (or a subclass) `scheduler` is nothing of that, or a thing cannot be sent.
        MissingPackageError: Dask is not installed. SchedulerError: the scheduler cannot be reached, or was lost.
        Exception: what is no error of pydiffgeo ends the work in this process; from a worker it comes as a `SchedulerError`
            of that thing alone, and so does the death of four workers at it.
    """
    if scheduler is None:
        for name, thing in things:
            try:
                found: R | PydiffgeoError = function(thing)
            except PydiffgeoError as error:
                found = error
            yield name, found
        return
    with connected(scheduler) as client:
        assert client is not None
        yield from _over_workers(client, function, iter(things))


@contextmanager
def connected(scheduler: Scheduler) -> Iterator[Client | None]:
    """A client of the scheduler, for several calls of `each`; what is started for it ends with the context.

    Raises:
        InputError: `scheduler` is none. MissingPackageError: Dask is not installed.
        SchedulerError: the scheduler cannot be reached, or has no workers.
    """
    if scheduler is None:
        yield None
        return
    if not isinstance(scheduler, str | DaskCluster) and not is_whole(scheduler, 1) and not _is_client(scheduler):
        raise InputError(
            "scheduler must be the address of a Dask scheduler, a number of worker processes, a cluster, a client, "
            f"or None; got {shown(scheduler)}"
        )
    for package in ("distributed", "cloudpickle"):
        if find_spec(package) is None:
            raise MissingPackageError(f"scheduler={shown(scheduler)} needs Dask: pip install 'pydiffgeo[dask]'")
    from distributed import Client, LocalCluster

    if isinstance(scheduler, Client):
        yield scheduler
        return
    with ExitStack() as stack:
        try:
            if isinstance(scheduler, int):
                # Any free port for its dashboard: several programs may do this at a time.
                started = LocalCluster(n_workers=scheduler, threads_per_worker=1, dashboard_address=":0")
                scheduler = stack.enter_context(started)
            client = stack.enter_context(Client(scheduler, timeout=PATIENCE, set_as_default=False))
            client.wait_for_workers(1, timeout=PATIENCE)
        # Errors of connections are of many kinds.
        except Exception as error:
            what = f"the Dask scheduler {shown(scheduler)} cannot be used, or has no workers ({error})"
            raise SchedulerError(what) from error
        yield client


def _is_client(value: object) -> bool:
    return callable(getattr(value, "submit", None)) and callable(getattr(value, "nthreads", None))


def _over_workers(
    client: Client, function: Callable[[T], R], things: Iterator[tuple[str, T]]
) -> Iterator[tuple[str, R | PydiffgeoError]]:
    import cloudpickle
    from distributed import KilledWorker, as_completed

    # Functions of the program itself travel by their code, since a worker elsewhere runs another program.
    sent, names, room = cloudpickle.dumps(function), dict[str, tuple[str, bytes]](), _Room(client)
    suspected: list[tuple[str, bytes]] = []
    done = as_completed(loop=client.loop, with_results=True, raise_errors=False)

    def submit() -> None:
        while len(names) < room.things:
            name, thing = next(things, (None, None))
            if name is None:
                return
            written = bytes(cloudpickle.dumps(thing))
            future = client.submit(_work, sent, written, pure=False)
            names[str(future.key)] = name, written
            done.add(future)

    submit()
    for future, result in done:
        (name, written), status = names.pop(str(future.key)), future.status
        future.release()
        if status in ("cancelled", "lost"):
            raise SchedulerError(f"the Dask scheduler was lost while {name} and {len(names)} more were on their way")
        submit()
        if status == "error" and isinstance(_error(result), KilledWorker):
            suspected.append((name, written))
            continue
        yield name, pickle.loads(result) if status == "finished" else _told(result)
    # Dask blames all that waited for a worker that died; what has done it again, alone, has done it.
    for name, written in suspected:
        future = client.submit(_work, sent, written, pure=False)
        try:
            yield name, pickle.loads(future.result())
        except Exception as error:
            yield name, _told(error)


class _Room:
    """How many things may be on their way; workers come and go, and are counted now and then."""

    def __init__(self, client: Client) -> None:
        self.client, self.counted, self.threads = client, -math.inf, 1

    @property
    def things(self) -> int:
        if time.monotonic() - self.counted > 1.0:
            self.threads, self.counted = sum(self.client.nthreads().values()), time.monotonic()
        return AHEAD * max(self.threads, 1)


def _told(result: object) -> SchedulerError:
    """What Dask says of a thing whose workers died, or could not run it: an error, or its kind, the error and its trace."""
    error = _error(result)
    return SchedulerError(f"{type(error).__name__}: {error}")


def _error(result: object) -> object:
    return result[1] if isinstance(result, tuple) and len(result) == 3 else result


def _work(function: bytes, thing: bytes) -> bytes:
    """Runs in a worker. Errors travel by their kind and words alone: what they hold may be large, or cannot be sent."""
    import cloudpickle

    with _one_at_a_time:
        try:
            found = pickle.loads(function)(pickle.loads(thing))
        except PydiffgeoError as error:
            found = _of_kind(error)
        except Exception as error:
            found = SchedulerError(f"{type(error).__name__} in a worker: {error}")
        return bytes(cloudpickle.dumps(found))


def _of_kind(error: PydiffgeoError) -> PydiffgeoError:
    return type(error)(str(error))
