"""Maps that the images gave, kept with a session and there again when it is opened.

A map may be megabytes of numbers that never change. Beside a session that is written every few
seconds it has a file of its own, written once; in a session that the user saves it stands in full.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ..errors import BridgecorrError, ReadError
from ..io.atomic import write_text
from ..io.transform_files import file_of_document
from ..workflow.refine import RefineOptions
from .image_maps import AlignOptions, ImageMap, Inputs, Kind, used_pairs
from .landmark_layers import SIDES

if TYPE_CHECKING:
    from .viewer_session import ViewerSession

Document = dict[str, Any]

SUFFIX = ".map"
_KINDS: tuple[Kind, ...] = ("aligned", "placed", "refined")
_REPEATS = {"align": AlignOptions, "refine": RefineOptions}


@dataclass(frozen=True, eq=False)
class KeptMap:
    """A map as it was read, without the window's images and landmarks.

    Parameters
    ----------
    found : callable
        Given what it was made from, the map.
    by_landmarks, by_options : bool
        Whether landmarks took part, and the options of their fit.
    is_chosen : bool
        Whether the results used it.
    """

    found: Callable[[Inputs], ImageMap]
    by_landmarks: bool
    by_options: bool
    is_chosen: bool


def maps_document(session: ViewerSession) -> list[Document]:
    """The maps that still hold, with their transform files as they are: not to be changed."""
    documents = []
    for kind in _KINDS:
        found = session.maps.of_kind(kind)
        if found is None or not session.still_hold(found.inputs):
            continue
        how = "align" if isinstance(found.repeat, AlignOptions) else "refine"
        documents.append(
            {
                "kind": kind,
                "verdict": found.verdict,
                "repeat": None if found.repeat is None else {how: asdict(found.repeat)},
                "by_landmarks": found.inputs.landmarks is not None,
                "by_options": found.inputs.options is not None,
                "is_chosen": session.maps.choice == kind,
                "document": found.document,
            }
        )
    return documents


class MapFiles:
    """Writes each map once, beside a session that is written again and again."""

    def __init__(self) -> None:
        self._written: list[tuple[Mapping[str, Any], Path]] = []
        self._numbers = itertools.count()

    def put_beside(self, window: Document, path: Path) -> Document:
        """A window that names files in the place of the maps in it; for the writing thread.

        Raises
        ------
        WriteError
        """
        entries = window.get("maps", [])
        files = [self._file(entry["document"], path) for entry in entries]
        # a map that another has taken the place of is let go
        self._written = [(e["document"], file) for e, file in zip(entries, files, strict=True)]
        named = [
            {**{k: v for k, v in entry.items() if k != "document"}, "file": file.name}
            for entry, file in zip(entries, files, strict=True)
        ]
        return {**window, "maps": named}

    def _file(self, document: Mapping[str, Any], path: Path) -> Path:
        for written, file in self._written:
            if written is document and file.name.startswith(f"{path.stem}."):
                return file
        file = path.with_name(f"{path.stem}.{next(self._numbers)}{SUFFIX}")
        write_text(file, json.dumps(dict(document)))
        return file


def read_maps(window: Document, folder: Path) -> tuple[list[KeptMap], list[str]]:
    """The maps of a window, and why others cannot be read; for a job's thread."""
    found, faults = [], []
    for entry in window.get("maps", []):
        try:
            found.append(_read(entry, folder))
        except (BridgecorrError, OSError, ValidationError, KeyError, TypeError, ValueError):
            faults.append(
                f"the {entry.get('kind', '')} map of step 4 (make it again)".replace("  ", " ")
            )
    return found, faults


def show_maps(session: ViewerSession, maps: Sequence[KeptMap]) -> None:
    """Give a session its maps again, once its images and landmarks are there."""
    try:
        fixed, moving = (session.image(side) for side in SIDES)
    except BridgecorrError:
        return  # step 1 says what is wrong with the layer
    if fixed is None or moving is None:
        return
    chosen = session.maps.choice
    for kept in maps:
        inputs = Inputs(
            fixed,
            moving,
            used_pairs(session.landmarks) if kept.by_landmarks else None,
            session.options if kept.by_options else None,
        )
        made = kept.found(inputs)
        session.maps.add(made)
        chosen = made.kind if kept.is_chosen else chosen
    session.maps.choose(chosen)


def _read(entry: Document, folder: Path) -> KeptMap:
    if "file" in entry:
        path = folder / Path(str(entry["file"])).name
        document = json.loads(path.read_text(encoding="utf-8"))
    else:
        path, document = folder, entry["document"]
    if not isinstance(document, dict) or entry["kind"] not in _KINDS:
        raise ReadError(path, "it is no map", "make it again in step 4")
    transform = file_of_document(document, path).transform
    kind: Kind = entry["kind"]
    repeat = None
    for how, values in (entry["repeat"] or {}).items():
        repeat = TypeAdapter(_REPEATS[how]).validate_python(values)
    verdict = str(entry["verdict"])

    def found(inputs: Inputs) -> ImageMap:
        return ImageMap(kind, transform, document, inputs, verdict, repeat)

    return KeptMap(
        found, bool(entry["by_landmarks"]), bool(entry["by_options"]), bool(entry["is_chosen"])
    )
