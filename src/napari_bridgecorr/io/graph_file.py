"""Graphs of registrations as JSON files that name transform files beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BridgecorrError, ReadError, TransformError
from ..transform import TransformGraph
from .beside import file_beside
from .transform_files import TransformFile, read_json_object, read_transform

FORMAT = "bridgecorr-graph"
VERSION = 1
# a lab has dozens of registrations; a file of millions is none of a lab's
_MOST_REGISTRATIONS = 10_000


def is_graph_file(path: Path) -> bool:
    """Whether a file is, or claims to be, a graph of registrations. Never raises."""
    try:
        with path.open("rb") as file:
            start = file.read(2**16)
    except (OSError, ValueError):
        return False
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and f'"{FORMAT}"'.encode() in start


def read_graph(path: Path) -> TransformGraph:
    """Read a graph and every transform that it names.

    The file is ``{"format": "bridgecorr-graph", "version": 1, "registrations": [{"fixed": SPACE,
    "moving": SPACE, "transform": FILE, "error_um": NUMBER}, ...]}``. FILE lies in the graph's
    folder or below and is of any kind that is read here; ``error_um`` may be left out: the
    root-mean-square leave-one-out error that stands in the transform's file is taken then.

    Raises
    ------
    ReadError
        If the file is damaged, names a file outside its folder, or a transform cannot be read.
    """
    document = read_json_object(path)
    if document.get("format") != FORMAT:
        raise ReadError(
            path,
            "it is no graph of registrations",
            f'write {{"format": "{FORMAT}", "version": {VERSION}, "registrations": [...]}}',
        )
    if document.get("version") != VERSION:
        raise ReadError(
            path, f"its version is {document.get('version')!r}, not {VERSION}", "update bridgecorr"
        )
    entries = document.get("registrations")
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST_REGISTRATIONS:
        raise ReadError(path, "it lists no registrations", "list them as its entry 'registrations'")
    graph = TransformGraph()
    files: dict[str, TransformFile] = {}
    for number, entry in enumerate(entries, 1):
        fixed, moving, name = (_text(path, entry, number, k) for k in _KEYS)
        if name not in files:
            files[name] = _transform(path, name)
        error_um = _error(path, entry, number)
        if error_um is None:
            error_um = _left_out(files[name])
        try:
            graph = graph.with_edge(fixed, moving, files[name].transform, error_um, name)
        except TransformError as error:
            raise ReadError(path, str(error), "mend its error_um") from error
    return graph


_KEYS = ("fixed", "moving", "transform")


def _text(path: Path, entry: Any, number: int, key: str) -> str:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if not isinstance(value, str) or not value.strip():
        raise ReadError(
            path,
            f"registration {number} does not say its {key!r}",
            "name the two spaces and the transform's file",
        )
    return value


def _error(path: Path, entry: Mapping[str, Any], number: int) -> float | None:
    value = entry.get("error_um")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ReadError(
            path, f"the error_um of registration {number} is no number", "write a length in um"
        )
    try:
        return float(value)
    except OverflowError as error:
        raise ReadError(
            path, f"the error_um of registration {number} is absurd", "write a length in um"
        ) from error


def _transform(path: Path, name: str) -> TransformFile:
    """The transform file that a graph names; it lies in the graph's folder or below."""
    place = file_beside(path, name, "transform")
    try:
        return read_transform(place)
    except ReadError:
        raise
    except BridgecorrError as error:
        raise ReadError(path, f"{name}: {error}", "mend that transform") from error
    except ValueError as error:
        raise ReadError(path, f"it names a file {name!r} that cannot be", "mend it") from error


def _left_out(file: TransformFile) -> float | None:
    """The root-mean-square leave-one-out error in a fitted transform's file."""
    part: Any = file.document
    for key in ("fit", "diagnostics", "loo_rms_um"):
        part = part.get(key) if isinstance(part, Mapping) else None
    usable = isinstance(part, int | float) and not isinstance(part, bool) and 0 <= part < 1e12
    return float(part) if usable and part is not None else None
