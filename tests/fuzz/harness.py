"""Mutated files, each opened in a watched process: an image or one line, never anything else.

One worker process opens one file after another, of all formats, so that 20,000 inputs take
minutes. It is watched from outside: a crash of the interpreter, more than `TIME_S` or more than
`MEMORY_BYTES` on one input is a finding, and the next input goes to a fresh worker.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

TIME_S = 10.0
MEMORY_BYTES = 2**30
# pixels read of one image: enough to reach every structure that describes pixels
_MOST_VOXELS = 2**18
_MOST_IMAGES = 20


@dataclass(frozen=True)
class Mutant:
    """One hostile input.

    Parameters
    ----------
    name : str
        What was done to which seed, so that it can be made again.
    write : callable
        Writes it into an empty folder and returns the path to open.
    """

    name: str
    write: Callable[[Path], Path]


@dataclass(frozen=True)
class Finding:
    """An input that was not answered as it must be."""

    mutant: str
    fault: str


@dataclass(frozen=True)
class Result:
    """What became of all inputs."""

    n_opened: int
    n_refused: int
    findings: tuple[Finding, ...]

    @property
    def n_inputs(self) -> int:
        """Number of inputs answered or not."""
        return self.n_opened + self.n_refused + len(self.findings)


RESULTS: list[Result] = []
"""Of every call of :func:`fuzz` in this process, for the line at the end of a test run."""


def open_and_read(path: Path) -> str:
    """Open every image of a file as `info` and a viewer would, and read some of its pixels.

    Returns "opened"; refusals leave as the ReadError that they are.
    """
    from napari_bridgecorr.io.registry import open_images

    for image in open_images(path)[:_MOST_IMAGES]:
        for level in {0, len(image.levels) - 1}:
            _read_some(image.levels[level])
    return "opened"


def _read_some(level: object) -> None:
    untyped = np.array(0) if level is None else level
    first = tuple(slice(0, min(n, 64)) for n in untyped.shape)
    last = tuple(slice(max(0, n - 64), n) for n in untyped.shape)
    for part in (first, last):
        picked = untyped[part]
        # the corner alone where a whole block of many times and channels would be large
        picked = picked[tuple(slice(0, _share(n, picked.shape)) for n in picked.shape)]
        np.asarray(picked.compute(scheduler="synchronous"))


def _share(length: int, shape: tuple[int, ...]) -> int:
    return length if int(np.prod(shape)) <= _MOST_VOXELS else min(length, 8)


def fuzz(mutants: Iterable[Mutant], use: Callable[[Path], str] = open_and_read) -> Result:
    """Give every mutant to `use` in a watched process.

    Parameters
    ----------
    mutants : iterable of Mutant
    use : callable
        Returns any text; may raise the project's errors, nothing else. It is run in another
        process: a function of a module, not a lambda.
    """
    opened = refused = 0
    findings: list[Finding] = []
    worker = _worker()
    worker.begin(use)
    for mutant in mutants:
        place = worker.new_place()
        answer, said = worker.ask(mutant.write(place), place)
        if answer == "opened":
            opened += 1
        elif answer == "refused":
            refused += 1
        else:
            findings.append(Finding(mutant.name, said))
        shutil.rmtree(place, ignore_errors=True)
    result = Result(opened, refused, tuple(findings))
    RESULTS.append(result)
    return result


class _Worker:
    """A process that answers, restarted when it does not."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._folder = tempfile.TemporaryDirectory()
        self._use: Callable[[Path], str] = open_and_read
        self._n_places = 0
        self._start()

    def begin(self, use: Callable[[Path], str]) -> None:
        """What is to be done with the inputs that follow."""
        self._use = use
        self._pipe.send((use, None, None))
        self._pipe.recv()  # ready: imports are not the first input's time

    def new_place(self) -> Path:
        """An empty folder for the next input."""
        self._n_places += 1
        place = Path(self._folder.name) / str(self._n_places)
        place.mkdir()
        return place

    def ask(self, path: Path, allowed: Path) -> tuple[str, str]:
        """What became of it (opened, refused or fault), and what was said."""
        self._pipe.send((self._use, path, allowed))
        if not self._pipe.poll(TIME_S):
            self._again()
            return "fault", f"no answer within {TIME_S:.0f} s"
        try:
            answer: tuple[str, str] = self._pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode or 0
            name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            self._again()
            return "fault", f"the interpreter died ({name})"
        return answer

    def end(self) -> None:
        """Stop the process and remove what is left of its inputs."""
        self._stop()
        self._folder.cleanup()

    def _again(self) -> None:
        self._stop()
        self._start()
        self.begin(self._use)

    def _start(self) -> None:
        self._pipe, theirs = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def _stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


_running: list[_Worker] = []


def _worker() -> _Worker:
    """The process of all tests: loading every format's library takes it seconds."""
    if not _running:
        _running.append(_Worker())
    return _running[0]


def end() -> None:
    """Stop the process, if there is one."""
    while _running:
        _running.pop().end()


def _serve(pipe: Connection) -> None:
    from napari_bridgecorr.errors import BridgecorrError
    from napari_bridgecorr.io.registry import readers

    for reader in readers():  # loads every format's library
        reader.claim(Path("nothing"))
    outside: list[str] = []
    watched: list[Path] = []
    sys.addaudithook(lambda event, args: _note_outside(event, args, watched, outside))
    while True:
        try:
            use, path, allowed = pipe.recv()
        except EOFError:
            return
        if path is None:
            pipe.send("ready")
            continue
        watched[:] = [allowed]
        outside.clear()
        before = _reset_peak_bytes()
        started = time.monotonic()
        try:
            use(path)
            answer, said = "opened", ""
        except BridgecorrError as error:
            lines = str(error).splitlines()
            answer, said = ("refused", str(error)) if len(lines) == 1 else ("fault", f"{lines}")
        except BaseException as error:  # noqa: BLE001 - whatever comes through is the finding
            place = traceback.extract_tb(error.__traceback__)[-1]
            answer = "fault"
            said = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        watched.clear()
        used = _peak_bytes() - before
        if answer != "fault" and outside:
            answer, said = "fault", f"opened files outside its folder: {sorted(set(outside))[:3]}"
        if answer != "fault" and used > MEMORY_BYTES:
            answer, said = "fault", f"took {used / 2**20:.0f} MiB"
        if answer != "fault" and time.monotonic() - started > TIME_S:
            answer, said = "fault", "took too long"
        pipe.send((answer, said))


def _note_outside(
    event: str, args: tuple[object, ...], watched: list[Path], out: list[str]
) -> None:
    """Remember files that an input made us open outside its own folder."""
    if event != "open" or not watched or not isinstance(args[0], str | bytes):
        return
    name = args[0].decode("utf-8", "replace") if isinstance(args[0], bytes) else args[0]
    if not name.startswith("/"):
        return
    place = Path(name)
    ours = (Path(sys.prefix), Path(sys.base_prefix), Path("/proc"), Path("/dev"), Path("/sys"))
    code = Path(__file__).resolve().parents[2] / "src"
    if any(place.is_relative_to(folder) for folder in (*watched, *ours, code)):
        return
    # threads of a reader that has refused an earlier input may still be reading that one
    beside = watched[0].parent
    if place.is_relative_to(beside) and place.relative_to(beside).parts[0].isdigit():
        return
    out.append(name)


def _reset_peak_bytes() -> int:
    """Resident bytes now, from which the peak counts (Linux; elsewhere the peak so far)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status_bytes("VmRSS") or _peak_bytes()


def _peak_bytes() -> int:
    return _status_bytes("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status_bytes(field: str) -> int:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    found = [line for line in lines if line.startswith(field + ":")]
    return int(found[0].split()[1]) * 1024 if found else 0


def damaged_bytes(seed: Path, n_mutants: int, *, random_seed: int = 0) -> Iterator[Mutant]:
    """Mutants of one file: truncated, bits flipped, runs overwritten, lengths exaggerated.

    Parameters
    ----------
    seed : Path
        A good file; its name is kept.
    n_mutants : int
    random_seed : int
    """
    rng = np.random.default_rng(random_seed)
    content = seed.read_bytes()
    for number in range(n_mutants):
        kind = _KINDS[number % len(_KINDS)]
        changed = kind(content, rng)
        name = f"{seed.name} {kind.__name__.strip('_')} {number} of seed {random_seed}"
        yield Mutant(name, _WriteBytes(seed.name, changed))


def hostile(
    lies: Sequence[Mutant], folder: Path, seeds: Iterable[str], each: int, n_mutants: int
) -> list[Mutant]:
    """The lies, or as many of them as `n_mutants` leaves room for, and every seed damaged."""
    damage = [
        mutant
        for number, name in enumerate(seeds)
        for mutant in damaged_bytes(folder / name, each, random_seed=number)
    ]
    if n_mutants < len(lies):
        order = np.random.default_rng(0).permutation(len(lies))
        lies = [lies[number] for number in order[: n_mutants // 2]]
    return [*lies, *damage]


@dataclass(frozen=True)
class _WriteBytes:
    name: str
    content: bytes

    def __call__(self, folder: Path) -> Path:
        path = folder / self.name
        path.write_bytes(self.content)
        return path


def write_bytes(name: str, content: bytes) -> Callable[[Path], Path]:
    """A `Mutant.write` that writes one file."""
    return _WriteBytes(name, content)


def _truncated(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(0, max(1, len(content))))]


def _head_bits(content: bytes, rng: np.random.Generator) -> bytes:
    return _flip(content, rng, min(len(content), 4096))


def _any_bits(content: bytes, rng: np.random.Generator) -> bytes:
    return _flip(content, rng, len(content))


def _flip(content: bytes, rng: np.random.Generator, reach: int) -> bytes:
    if not reach:
        return content
    changed = bytearray(content)
    for place in rng.integers(0, reach, int(rng.integers(1, 9))):
        changed[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def _lying_number(content: bytes, rng: np.random.Generator) -> bytes:
    """A 2-, 4- or 8-byte number somewhere becomes an extreme one."""
    width = int(rng.choice([2, 4, 8]))
    if len(content) < width:
        return content
    reach = min(len(content), 8192) if rng.random() < 0.7 else len(content)
    place = int(rng.integers(0, reach - width + 1)) // 2 * 2
    value = int(rng.choice([0, 1, 2**7, 2**15 - 1, 2**15, 2**16 - 1]))
    if width > 2 and rng.random() < 0.7:
        value = int(rng.choice([2**31 - 1, 2**31, 2**32 - 1, 10**9]))
    if width > 4 and rng.random() < 0.7:
        value = int(rng.choice([2**62, 2**63 - 1, 10**12], shuffle=False))
    order = "little" if rng.random() < 0.7 else "big"
    return content[:place] + value.to_bytes(width, order) + content[place + width :]


def _overwritten_run(content: bytes, rng: np.random.Generator) -> bytes:
    length = min(int(rng.integers(1, 257)), len(content))
    place = int(rng.integers(0, len(content) - length + 1))
    filler = [b"\0" * length, b"\xff" * length, rng.bytes(length)][int(rng.integers(0, 3))]
    return content[:place] + filler + content[place + length :]


def _spliced(content: bytes, rng: np.random.Generator) -> bytes:
    """A piece is left out or doubled: everything behind it lies elsewhere than stated."""
    if not content:
        return content
    a, b = sorted(int(n) for n in rng.integers(0, len(content) + 1, 2))
    b = min(b, a + 4096)
    return content[:a] + content[b:] if rng.random() < 0.5 else content[:b] + content[a:]


_KINDS = (_truncated, _head_bits, _any_bits, _lying_number, _overwritten_run, _spliced)
