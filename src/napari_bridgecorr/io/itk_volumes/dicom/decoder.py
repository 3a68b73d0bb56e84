"""Decompression in a process of its own.

The decoders behind SimpleITK crash or hang on some damaged JPEG streams. What happens to the helper
process does not happen to the user's session: it is started anew, and the file is refused.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from ...lazy import Block

_SERVE = "from napari_bridgecorr.simple_itk import serve_dicom_arrays; serve_dicom_arrays()"
_LEAST_S = 4.0
# the slowest usual one (JPEG 2000) decodes about 20 MB a second
_BYTES_PER_S = 4e6


class DecodingError(Exception):
    """Why a file's pixels cannot be decompressed, as a clause."""


class _Helper:
    """The process, started when it is first needed. Serves one file at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, path: Path, n_bytes: int) -> Block:
        with self._lock:
            process = self._running()
            late = threading.Event()

            def end() -> None:
                late.set()
                process.kill()

            allowed_s = _LEAST_S + n_bytes / _BYTES_PER_S
            clock = threading.Timer(allowed_s, end)
            clock.daemon = True
            clock.start()
            try:
                answer = _ask(process, path)
            except (OSError, EOFError, ValueError) as error:
                self._stop()
                said = f"after {allowed_s:.0f} s" if late.is_set() else "and the decoder crashed"
                raise DecodingError(f"they cannot be decompressed {said}") from error
            finally:
                clock.cancel()
                if late.is_set():
                    self._stop()
        if isinstance(answer, str):
            raise DecodingError(answer)
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._stop()
            self._process = subprocess.Popen(
                # -P: nothing is imported from the current folder
                [sys.executable, "-P", "-c", _SERVE],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            # starting takes longer than many a decoding
            stdout = cast(IO[bytes], self._process.stdout)
            if stdout.readline().strip() != b"ready":
                self._stop()
                raise DecodingError("SimpleITK does not start")
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

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()


def _ask(process: subprocess.Popen[bytes], path: Path) -> Block | str:
    stdin, stdout = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
    stdin.write(json.dumps(str(path)).encode() + b"\n")
    stdin.flush()
    line = stdout.readline()
    if not line:
        raise EOFError
    said: dict[str, Any] = json.loads(line)
    if "fault" in said:
        return str(said["fault"])
    dtype = np.dtype(said["dtype"])
    shape = tuple(int(n) for n in said["shape"])
    n_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
    content = stdout.read(n_bytes)
    if len(content) < n_bytes:
        raise EOFError
    return np.frombuffer(content, dtype).reshape(shape)


_HELPER = _Helper()
atexit.register(_HELPER.close)


def decode_dicom(path: Path, n_bytes: int) -> Block:
    """Every pixel of a file, decompressed and rescaled: (frames, rows, columns[, samples]).

    Parameters
    ----------
    path : Path
        A file whose structure and claimed size have been checked.
    n_bytes : int
        Of its pixels when decompressed; sets how long to wait.

    Raises
    ------
    DecodingError
        If the pixels are damaged.
    """
    return _HELPER.decode(path.absolute(), n_bytes)
