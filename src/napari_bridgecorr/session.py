"""A session: everything needed to repeat a registration, as one JSON document.

Images by relative path and fingerprint, landmarks in full, methods by name. No pickle. Replaying it
is :mod:`napari_bridgecorr.workflow`'s work.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from .errors import ReadError, SessionError
from .fitting import FitOptions
from .geometry import Orientation, Placement
from .io.atomic import write_text
from .io.transform_files import read_json_object
from .landmarks import Landmark, LandmarkSet

FORMAT = "bridgecorr-session"
SCHEMA_VERSION = 1

OutputKind = Literal[
    "landmarks",
    "transform",
    "warp",
    "table",
    "report",
    "reslice",
    "refine",
    "align",
    "refine_landmarks",
]

_WINDOW = "window"
_FINGERPRINT_BYTES = 1 << 20
_FINGERPRINT_FILES = 2000


@dataclass(frozen=True)
class ImageRef:
    """An image file by name.

    Parameters
    ----------
    id : str
    path : str
        Relative to the session's folder where possible.
    image_index : int
        Number of the image in the file.
    fingerprint : str
        See :func:`fingerprint`.
    spacing_um : (float, float, float) or None
        The user's answer where the file states no voxel size, or a wrong one.
    orientation : (str, str, str) or None
        The user's answer where the file's axes run otherwise; see
        :class:`~napari_bridgecorr.geometry.Placement`.
    channels : tuple of int or None
        Which channels of the image are used, by number; all where None.
    times : (int, int) or None
        Which time points are used, from the first up to but without the second; all where None.
    """

    id: str
    path: str
    image_index: int = 0
    fingerprint: str = ""
    spacing_um: tuple[float, float, float] | None = None
    orientation: Orientation | None = None
    channels: tuple[int, ...] | None = None
    times: tuple[int, int] | None = None

    @property
    def placement(self) -> Placement:
        """The user's answers on the image's place."""
        return Placement(self.spacing_um, self.orientation)


@dataclass(frozen=True)
class LandmarkSetRecord:
    """Landmarks in full."""

    id: str
    landmarks: tuple[Landmark, ...]

    def to_set(self) -> LandmarkSet:
        """As a landmark set."""
        return LandmarkSet(self.landmarks)


@dataclass(frozen=True)
class RegistrationRecord:
    """A registration of two images: how it is made and what came of it.

    Parameters
    ----------
    id : str
    fixed, moving : str
        Ids of images.
    landmark_set : str
        Id of the landmarks.
    options : FitOptions
    transform : dict or None
        What the fit gave when the session was saved; a replay is compared with it.
    diagnostics : dict or None
    versions : mapping of str to str
        Of the libraries that made it.
    """

    id: str
    fixed: str
    moving: str
    landmark_set: str
    options: FitOptions = field(default_factory=FitOptions)
    transform: dict[str, Any] | None = None
    diagnostics: dict[str, Any] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MaskRef:
    """A mask image whose inside is a column ``mask_<name>`` of tables."""

    name: str
    image: str


@dataclass(frozen=True)
class Output:
    """A file that a replay writes.

    Parameters
    ----------
    kind : {"landmarks", "transform", "warp", "table", "report", "reslice", "refine", "align", \
"refine_landmarks"}
    path : str
        Relative to the session's folder.
    registration : str
        Id of the registration; empty for "reslice", "align" and "refine_landmarks", which need
        none.
    options : dict
        As the workflow function of that kind takes them. Of "reslice" also ``image`` (an image's
        id) and ``plane``; of "refine" also ``fixed_mask`` and ``moving_mask`` (images' ids); of
        "align" and "refine_landmarks" also ``fixed`` and ``moving`` (images' ids); of "warp",
        "table" and "report" also ``transform``: the path of an output before it whose map they go
        through, instead of the fit.
    """

    kind: OutputKind
    path: str
    registration: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Session:
    """One document: images, landmarks, registrations, masks and outputs."""

    images: tuple[ImageRef, ...] = ()
    landmark_sets: tuple[LandmarkSetRecord, ...] = ()
    registrations: tuple[RegistrationRecord, ...] = ()
    masks: tuple[MaskRef, ...] = ()
    outputs: tuple[Output, ...] = ()
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    schema_version: int = SCHEMA_VERSION

    def image(self, image_id: str) -> ImageRef:
        """The image of that id (SessionError if there is none)."""
        return _by_id(self.images, image_id, "image")

    def landmark_set(self, set_id: str) -> LandmarkSetRecord:
        """The landmarks of that id (SessionError if there are none)."""
        return _by_id(self.landmark_sets, set_id, "landmark set")

    def registration(self, registration_id: str) -> RegistrationRecord:
        """The registration of that id (SessionError if there is none)."""
        return _by_id(self.registrations, registration_id, "registration")


def save_session(session: Session, path: Path, *, window: Mapping[str, Any] | None = None) -> None:
    """Write a session atomically, its images' paths relative to its folder.

    Parameters
    ----------
    session : Session
    path : Path
    window : mapping, optional
        What a window showed of it, as plain values. A replay does not look at it.
    """
    folder = path.resolve().parent
    images = tuple(replace(i, path=_relative(Path(i.path), folder)) for i in session.images)
    document = {"format": FORMAT, **asdict(replace(session, images=images))}
    if window is not None:
        document[_WINDOW] = dict(window)
    text = TypeAdapter(dict[str, Any]).dump_json(document, indent=1).decode()
    write_text(path, text + "\n")


def load_session(path: Path) -> Session:
    """Read a session; its images' paths become absolute.

    Raises
    ------
    ReadError
        If the file is not a session of ours or is damaged.
    """
    document = read_json_object(path)
    document.pop(_WINDOW, None)
    if document.pop("format", None) != FORMAT:
        raise ReadError(path, "it is not a bridgecorr session", "give a session's JSON file")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise ReadError(
            path,
            f"its schema version is {document.get('schema_version')!r}, not {SCHEMA_VERSION}",
            "update bridgecorr",
        )
    try:
        session = TypeAdapter(Session).validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"]) or "the document"
        raise ReadError(path, f"{where}: {first['msg']}", "save the session again") from error
    folder = path.resolve().parent
    images = tuple(replace(i, path=str((folder / i.path).resolve())) for i in session.images)
    return replace(session, images=images)


def is_session(path: Path) -> bool:
    """Whether a file says that it is a session; never raises."""
    try:
        return path.suffix == ".json" and read_json_object(path).get("format") == FORMAT
    except (ReadError, OSError):
        return False


def load_window(path: Path) -> dict[str, Any]:
    """What a window showed of a session when it was saved; empty where nobody saved it.

    Raises
    ------
    ReadError
        If the file is not a session of ours or is damaged.
    """
    document = read_json_object(path)
    window = document.get(_WINDOW, {})
    if document.get("format") != FORMAT or not isinstance(window, dict):
        raise ReadError(path, "it is not a bridgecorr session", "give a session's JSON file")
    return window


def fingerprint(path: Path) -> str:
    """Short identity of a file or image folder: sizes, and the first and last MiB of a file.

    Reading it takes no time even for a stack of tens of gigabytes.

    Raises
    ------
    SessionError
        If the file is not there.
    """
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            files = sorted(p for p in path.rglob("*") if p.is_file())
            digest.update(str(len(files)).encode())
            for file in files[:_FINGERPRINT_FILES]:
                digest.update(f"{file.relative_to(path).as_posix()}:{file.stat().st_size}".encode())
        else:
            size = path.stat().st_size
            digest.update(str(size).encode())
            with path.open("rb") as opened:
                digest.update(opened.read(_FINGERPRINT_BYTES))
                opened.seek(max(0, size - _FINGERPRINT_BYTES))
                digest.update(opened.read(_FINGERPRINT_BYTES))
    except OSError as error:
        raise SessionError(f"{path}: the image cannot be read; put it back in its place") from error
    return f"sha256:{digest.hexdigest()}"


def _relative(path: Path, folder: Path) -> str:
    absolute = path.resolve()
    try:
        return Path(os.path.relpath(absolute, folder)).as_posix()
    except ValueError:  # another drive (Windows)
        return absolute.as_posix()


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


_Item = TypeVar("_Item", bound=_Identified)


def _by_id(items: tuple[_Item, ...], wanted: str, what: str) -> _Item:
    for item in items:
        if item.id == wanted:
            return item
    raise SessionError(f"the session has no {what} {wanted!r}")
