"""What commands put into a session that they write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import WriteError

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from ..image import SpatialImage
    from ..session import ImageRef


def add_session(parser: ArgumentParser, out: str) -> None:
    """The argument that asks for a session."""
    parser.add_argument(
        "--write-session",
        metavar="SESSION.json",
        type=Path,
        help=f"a session that repeats this with `run`; {out} must lie in its folder",
    )


def place_in_session(out: Path, session: Path) -> str:
    """Of an output, relative to the session's folder (WriteError if it lies outside)."""
    folder = session.resolve().parent
    if not out.resolve().is_relative_to(folder):
        raise WriteError(
            out, "lies outside the session's folder", "save the session beside or above it"
        )
    return out.resolve().relative_to(folder).as_posix()


def image_ref(name: str, given: str, image: SpatialImage) -> ImageRef:
    """An image as the user named and placed it."""
    from ..io.registry import parse_image_path
    from ..session import ImageRef

    place, number = parse_image_path(given)
    placement = image.placement
    return ImageRef(
        name,
        str(place),
        number or 0,
        spacing_um=placement.spacing_um,
        orientation=placement.orientation,
    )
