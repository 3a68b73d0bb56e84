"""Libraries that end the interpreter on damaged files run in a process of their own.

The process is started when it is first needed and answers one file after another. What happens to
it does not happen to the user's session: the file is refused, and the next one gets a new process.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

Answer = tuple[Any, Sequence[NDArray[Any]]]
"""Something that JSON holds, and arrays."""


class HelperFault(Exception):
    """Why a file has no answer, as a clause."""


class HelperProcess:
    """A process that :func:`serve` runs in. Threads take turns.

    Parameters
    ----------
    code : str
        Python that ends in :func:`serve`.
    """

    def __init__(self, code: str) -> None:
        self._code = code
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def ask(self, path: Path, allowed_s: float) -> Answer:
        """The answer to a file.

        Raises
        ------
        HelperFault
            As the process says it, or because it crashed or took longer than `allowed_s`.
        """
        with self._lock:
            was_running = self._process is not None
            try:
                return self._ask(path.absolute(), allowed_s)
            except EOFError:
                # perhaps by what an earlier file left behind
                if not was_running:
                    raise HelperFault("its reader crashed") from None
            try:
                return self._ask(path.absolute(), allowed_s)
            except EOFError:
                raise HelperFault("its reader crashed") from None

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()

    def _ask(self, path: Path, allowed_s: float) -> Answer:
        process = self._running()
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        clock = threading.Timer(allowed_s, end)
        clock.daemon = True
        clock.start()
        try:
            return _exchange(process, path)
        except HelperFault:
            raise
        except (OSError, EOFError, ValueError) as error:
            self._stop()
            if late.is_set():
                raise HelperFault(f"its reader had no answer after {allowed_s:.0f} s") from error
            raise EOFError from error
        except BaseException:
            self._stop()  # interrupted: the rest of an answer may be in the pipe
            raise
        finally:
            clock.cancel()
            if late.is_set():
                self._stop()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            self._process = subprocess.Popen(
                # -P: nothing is imported from the current folder
                [sys.executable, "-P", "-c", self._code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            # starting takes longer than many a file
            if cast(IO[bytes], self._process.stdout).readline().strip() != b"ready":
                self._stop()
                raise HelperFault("its reader does not start")
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                # what was not sent yet goes nowhere
                with contextlib.suppress(OSError):
                    pipe.close()
        process.wait()


def _exchange(process: subprocess.Popen[bytes], path: Path) -> Answer:
    stdin, stdout = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
    stdin.write(json.dumps(str(path)).encode() + b"\n")
    stdin.flush()
    line = stdout.readline()
    if not line:
        raise EOFError
    answer: dict[str, Any] = json.loads(line)
    if "fault" in answer:
        raise HelperFault(str(answer["fault"]))
    return answer["said"], [_received(stdout, *array) for array in answer["arrays"]]


def _received(stdout: IO[bytes], shape: list[int], dtype: str) -> NDArray[Any]:
    array = np.empty(shape, dtype)
    if cast(Any, stdout).readinto(array.reshape(-1).view(np.uint8)) < array.nbytes:
        raise EOFError
    return array


def serve(answer: Callable[[Path], Answer], limit_bytes: int) -> None:
    """Answer the files that standard input names, until it ends: the process's main loop.

    Parameters
    ----------
    answer : callable
        May raise :class:`HelperFault`.
    limit_bytes : int
        Address space of the process, where the system can limit it: a library that asks for absurd
        memory gets none.
    """
    with contextlib.suppress(ImportError):  # Windows
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    out = sys.stdout.buffer
    out.write(b"ready\n")
    out.flush()
    for line in sys.stdin.buffer:
        try:
            said, arrays = answer(Path(json.loads(line)))
            sent = [np.ascontiguousarray(array) for array in arrays]
        except (HelperFault, MemoryError) as error:
            fault = str(error) if isinstance(error, HelperFault) else "memory runs out"
            out.write(json.dumps({"fault": fault}).encode() + b"\n")
        else:
            shapes = [(array.shape, array.dtype.str) for array in sent]
            out.write(json.dumps({"said": said, "arrays": shapes}).encode() + b"\n")
            for array in sent:
                out.write(array.reshape(-1).view(np.uint8).data)
        out.flush()
