"""Random access into a compressed stream: from the nearest kept state of the decompressor.

A zlib or gzip stream is a chain: byte n needs all bytes before it. Keeping a copy of the
decompressor every so often bounds what a block costs, and what is held in memory.
"""

from __future__ import annotations

import bz2
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ...errors import ReadError, one_line
from .volume_header import COPY_AGAIN

# bytes of voxels between two kept states; a state takes about 50 kB
_STEP_BYTES = 32 * 2**20
_PIECE_BYTES = 2**18
# what a stream can hold at most: zlib's technical notes; a bzip2 block of zeros
_LARGEST_RATIO = {"zlib": 1032, "bzip2": 1_200_000}
# smaller streams are read once on opening, to their checksum
_CHECK_ALL_BYTES = 64 * 2**20
_DAMAGED = (OSError, EOFError, ValueError, zlib.error)


@dataclass
class _State:
    """A decompressor, what it still has to chew, and how far it is."""

    decompressor: Any
    pending: bytes
    read: int
    made: int

    def copy(self) -> _State:
        return _State(self.decompressor.copy(), self.pending, self.read, self.made)


class InflatedBytes:
    """The decompressed bytes of a part of a file. Serves several threads, one at a time.

    Parameters
    ----------
    path : Path
        The compressed file.
    offset : int
        Byte at which the stream begins.
    method : {"zlib", "bzip2"}
        "zlib" stands for gzip too.
    n_bytes : int
        Decompressed bytes that are needed.

    Raises
    ------
    ReadError
        If the stream is cut short or damaged, so far as that shows on opening.
    """

    def __init__(
        self, path: Path, offset: int, method: Literal["zlib", "bzip2"], n_bytes: int
    ) -> None:
        self._path = path
        self._offset = offset
        self._method = method
        self.n_bytes = n_bytes
        self._reset()
        on_disk = path.stat().st_size - offset
        if on_disk <= 0 or n_bytes > _LARGEST_RATIO[method] * on_disk:
            raise ReadError(
                path,
                f"is cut short or its header is wrong ({n_bytes} bytes of voxels cannot be "
                f"compressed to {max(0, on_disk)})",
                COPY_AGAIN,
            )
        if n_bytes <= _CHECK_ALL_BYTES:
            self._check_all()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._current: _State | None = None
        self._kept: list[_State] = []

    def __getstate__(self) -> dict[str, Any]:
        left_out = ("_lock", "_current", "_kept")
        return {name: value for name, value in self.__dict__.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def read(self, start: int, count: int) -> bytes:
        """Bytes ``start <= n < start + count``.

        Raises
        ------
        ReadError
            If the stream ends before, or is damaged.
        """
        with self._lock:
            state = self._nearest(start)
            found = bytearray()
            try:
                with self._path.open("rb") as file:
                    file.seek(self._offset + state.read)
                    while len(found) < count:
                        left = start + count - state.made
                        piece = self._step(state, file.read, min(left, 4 * _PIECE_BYTES))
                        before = state.made - len(piece)
                        if state.made > start:
                            found += piece[max(0, start - before) :]
                        self._keep(state)
            except _DAMAGED as error:
                self._current = None
                raise self._damaged(error) from error
            self._current = state
            return bytes(found)

    def _check_all(self) -> None:
        """Decompress to the end of the stream, where its checksum is compared."""
        state = self._new_state()
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                while state.made < self.n_bytes:
                    self._step(state, file.read, 4 * _PIECE_BYTES)
                while not state.decompressor.eof:
                    self._step(state, file.read, 4 * _PIECE_BYTES)
                    if state.made > self.n_bytes + _CHECK_ALL_BYTES:
                        return
        except _DAMAGED as error:
            raise self._damaged(error) from error

    def _step(self, state: _State, read: Callable[[int], bytes], most: int) -> bytes:
        """Decompress at most `most` bytes more, never none. Raises EOFError at the end."""
        while True:
            if state.decompressor.eof:
                # gzip may go on with another member
                rest = state.decompressor.unused_data or state.pending or self._more(state, read)
                state.decompressor, state.pending = self._decompressor(), rest
                if not rest.strip(b"\0"):
                    raise EOFError("the data end early")
            if not state.pending and self._needs_input(state):
                state.pending = self._more(state, read)
                if not state.pending:
                    raise EOFError("the data end early")
            made = state.decompressor.decompress(state.pending, most)
            # what zlib has not taken it gives back; bzip2 keeps it
            state.pending = getattr(state.decompressor, "unconsumed_tail", b"")
            if made:
                state.made += len(made)
                return bytes(made)
            if state.decompressor.eof and state.made >= self.n_bytes:
                return b""

    @staticmethod
    def _more(state: _State, read: Callable[[int], bytes]) -> bytes:
        piece = read(_PIECE_BYTES)
        state.read += len(piece)
        return piece

    @staticmethod
    def _needs_input(state: _State) -> bool:
        return bool(getattr(state.decompressor, "needs_input", True))

    def _decompressor(self) -> Any:
        # 32: zlib or gzip, whichever the first bytes are
        return (
            zlib.decompressobj(32 + zlib.MAX_WBITS)
            if self._method == "zlib"
            else (bz2.BZ2Decompressor())
        )

    def _new_state(self) -> _State:
        return _State(self._decompressor(), b"", 0, 0)

    def _nearest(self, start: int) -> _State:
        """The state to go on from: the one behind the last block, or a kept one."""
        kept = [state for state in self._kept if state.made <= start]
        best = kept[-1] if kept else None
        current = self._current
        self._current = None
        if (
            current is not None
            and current.made <= start
            and (best is None or current.made >= best.made)
        ):
            return current
        return best.copy() if best is not None else self._new_state()

    def _keep(self, state: _State) -> None:
        last = self._kept[-1].made if self._kept else 0
        # bzip2's decompressor cannot be copied: it starts over for a block further up
        if self._method == "zlib" and state.made >= last + _STEP_BYTES:
            self._kept.append(state.copy())

    def _damaged(self, error: Exception) -> ReadError:
        said = one_line(error) or type(error).__name__
        return ReadError(self._path, f"is damaged or cut short ({said})", COPY_AGAIN)
