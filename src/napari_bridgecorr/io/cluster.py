"""The only file that talks to dask.distributed: a local cluster or a running one.

Tasks are named by a module's function and plain values: what they need lies in files that every
worker sees. Processes die, machines vanish and versions differ: each becomes one clear line.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import BridgecorrError, WriteError, one_line
from ..versions import library_versions
from .long_run import LongRun

# One core each: the libraries that would start threads of their own. The first are loaded while a
# process starts: their variables are set in this process meanwhile, and put back. With its own set
# here, Numba would refuse to compile in this process.
_BEFORE_START = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_IN_WORKERS = dict.fromkeys(
    ("NUMBA_NUM_THREADS", "DASK_NUM_WORKERS", "ZARR_THREADING__MAX_WORKERS"), "1"
)
_SECONDS_TO_CONNECT = 60
# to a scheduler that runs already: a wrong address is told soon
_SECONDS_TO_ANSWER = 8
_SECONDS_TO_END = 60
_LONGEST_GREETING = 2**20
# tasks beyond those that run, so that no worker waits for the next one
_AHEAD = 1


class Cluster:
    """Processes that do tasks.

    Parameters
    ----------
    client : distributed.Client
    path : Path
        The output, for messages.
    """

    def __init__(self, client: Any, path: Path) -> None:
        self._client = client
        self._path = path

    def run(
        self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]
    ) -> Generator[tuple[int, Any], None, None]:
        """Call ``function(*task)`` of every task on some worker.

        Closing the generator cancels what has not begun.

        Yields
        ------
        int, result
            Number of the task, in the order in which they end.

        Raises
        ------
        WriteError
            If a worker dies again and again, or the scheduler is lost.
        """
        from distributed import CancelledError, as_completed

        waiting = iter(enumerate(tasks))
        running: dict[Any, int] = {}
        arriving = as_completed(loop=self._client.loop)

        def submit(n: int) -> None:
            for number, task in islice(waiting, n):
                future = self._client.submit(function, *task, pure=False, priority=-number)
                running[future] = number
                arriving.add(future)

        try:
            submit(self._n_cores() * (1 + _AHEAD))
            for future in arriving:
                number = running.pop(future)
                result = self._result(future)
                # one comes for one that goes; more where workers have joined
                submit(max(0, self._n_cores() * (1 + _AHEAD) - len(running)))
                yield number, result
        except CancelledError as error:
            raise self._lost() from error
        finally:
            with contextlib.suppress(OSError, CancelledError, TimeoutError):
                self._client.cancel(list(running), force=True)

    def _n_cores(self) -> int:
        try:
            threads: dict[str, int] = self._client.nthreads()
            return max(1, sum(threads.values()))
        except OSError as error:
            raise self._lost() from error

    def _result(self, future: Any) -> Any:
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        try:
            return future.result()
        except BridgecorrError:
            raise
        except CommClosedError as error:
            raise self._lost() from error
        except KilledWorker as error:
            raise WriteError(
                self._path,
                "a worker process died again and again over the same block (killed, or out of "
                "memory)",
                "take fewer --workers; what is finished is kept: run the same again to go on",
            ) from error
        except (ImportError, AttributeError) as error:
            raise WriteError(
                self._path,
                f"a worker cannot do the work ({one_line(error)})",
                "install the same version of napari-bridgecorr on every worker",
            ) from error

    def _lost(self) -> WriteError:
        return WriteError(
            self._path,
            "the cluster was lost while it worked",
            "what is finished is kept: start the cluster and run the same again to go on",
        )


@contextmanager
def cluster(run: LongRun, path: Path, shared: Path) -> Iterator[Cluster]:
    """Start the workers, or find the cluster, that `run` asks for.

    Parameters
    ----------
    run : LongRun
    path : Path
        The output, for messages.
    shared : Path
        A folder that every worker has to see.

    Raises
    ------
    WriteError
        If they cannot be had, see another folder, or have other versions.
    """
    with _quiet(), contextlib.ExitStack() as stack:
        if run.workers:
            client = stack.enter_context(_local(run.workers, path))
        else:
            client = stack.enter_context(_running(run.scheduler, path))
            _check_workers(client, run.scheduler, path, shared)
        yield Cluster(client, path)


@contextmanager
def _local(n_workers: int, path: Path) -> Iterator[Any]:
    if multiprocessing.parent_process() is not None and _is_starting():
        # a script that starts workers when it is imported, imported by such a worker
        raise WriteError(
            path,
            "workers cannot be started while a script is imported",
            "put the call under  if __name__ == '__main__':",
        )
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.nanny.pre-spawn-environ": _BEFORE_START,
        "distributed.nanny.environ": _IN_WORKERS,
        "distributed.worker.multiprocessing-method": "spawn",
        "distributed.comm.timeouts.connect": _SECONDS_TO_CONNECT,
    }
    with dask.config.set(settings), _environment_kept():
        try:
            started = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
                host="127.0.0.1",
            )
        except (RuntimeError, OSError, TimeoutError) as error:
            raise WriteError(
                path, f"no workers could be started ({one_line(error)})", "leave out --workers"
            ) from error
        try:
            with Client(started, set_as_default=False) as client:
                yield client
        finally:
            # workers that are slow to go end with this process; what they were to do is done
            with contextlib.suppress(TimeoutError):
                started.close(timeout=_SECONDS_TO_END)


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Put back what dask.distributed changes in this process's environment."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _is_starting() -> bool:
    """Whether this process is still being started by another one."""
    return bool(getattr(multiprocessing.current_process(), "_inheriting", False))


@contextmanager
def _running(address: str, path: Path) -> Iterator[Any]:
    from distributed import Client

    _check_address(address, path)
    try:
        client = Client(address, timeout=_SECONDS_TO_ANSWER, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise WriteError(
            path,
            f"no scheduler answers at {address}",
            "check the address, or give --workers N instead",
        ) from error
    try:
        yield client
    finally:
        with contextlib.suppress(OSError, TimeoutError):
            client.close(timeout=10)


def _check_address(address: str, path: Path) -> None:
    """Find out at once what distributed tries for long, or ends in pages about."""
    from distributed.security import Security

    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:  # a port that is no number
        host = port = None
    if host is None or port is None or parts.scheme not in ("tcp", "tls"):
        raise WriteError(
            path, f"{address!r} is no scheduler's address", "write it as tcp://node1:8786"
        )
    encrypted = Security().get_connection_args("client").get("ssl_context")
    if parts.scheme == "tls" and encrypted is None:
        raise WriteError(
            path,
            f"{address} needs certificates, and dask's configuration names none",
            "set distributed.comm.tls in it, or give a tcp:// address",
        )
    try:
        with socket.create_connection((host, port), timeout=_SECONDS_TO_ANSWER) as connection:
            # distributed would wait for ever where something else listens. A scheduler greets
            # first: the length of what it says, then that
            if parts.scheme == "tcp":
                greeting = connection.recv(8, socket.MSG_WAITALL)
                if len(greeting) < 8 or int.from_bytes(greeting, "little") > _LONGEST_GREETING:
                    raise ConnectionError("another program listens there")
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no computer can have
        raise WriteError(
            path,
            f"no scheduler answers at {address} ({one_line(error)})",
            "check the address, or give --workers N instead",
        ) from error


def _check_workers(client: Any, address: str, path: Path, shared: Path) -> None:
    try:
        client.wait_for_workers(1, timeout=_SECONDS_TO_CONNECT)
    except TimeoutError as error:
        raise WriteError(
            path, f"the scheduler at {address} has no workers", "start some workers for it"
        ) from error
    try:
        found = client.run(_seen_by_worker, str(shared))
    except (ImportError, AttributeError) as error:
        raise WriteError(
            path,
            f"a worker of {address} has no napari-bridgecorr of this version ({one_line(error)})",
            "install the same version on every worker",
        ) from error
    ours = library_versions()
    for worker, (versions, sees) in found.items():
        other = [
            f"{k} {versions.get(k)} and not {v}" for k, v in ours.items() if versions.get(k) != v
        ]
        if other:
            raise WriteError(
                path, f"the worker {worker} has {other[0]}", "install the same on every worker"
            )
        if not sees:
            raise WriteError(
                path, f"the worker {worker} does not see its folder", "write to a shared folder"
            )


def _seen_by_worker(folder: str) -> tuple[dict[str, str], bool]:
    return library_versions(), os.access(folder, os.W_OK)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the pages that distributed logs when a process dies: errors are told by us."""
    # it sets levels of its own when it is imported
    import distributed  # noqa: F401

    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
