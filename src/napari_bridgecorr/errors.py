"""Typed errors, in words for a biologist: what is wrong, where, and what to do next.

Every failure that a user can cause is one of these; the command line prints it as one line and
exits with status 1, the window shows it as a message.
"""

from __future__ import annotations

from os import PathLike


class BridgecorrError(Exception):
    """Base of every error that a user can meet and mend."""


class ReadError(BridgecorrError):
    """A file cannot be read.

    Parameters
    ----------
    path : path-like
        The file, as the user named it.
    fault : str
        What is wrong with it.
    remedy : str
        What the user can do about it.
    """

    def __init__(self, path: str | PathLike[str], fault: str, remedy: str) -> None:
        self.path = str(path)
        self.fault = one_line(fault)
        self.remedy = one_line(remedy)
        super().__init__(f"{self.path}: {self.fault}; {self.remedy}")

    def __reduce__(self) -> tuple[type[ReadError], tuple[str, str, str]]:
        return type(self), (self.path, self.fault, self.remedy)


class WriteError(ReadError):
    """A file cannot be written (same three parts as :class:`ReadError`)."""


class GeometryError(BridgecorrError):
    """A grid, spacing or affine that cannot describe where voxels are."""


class FitError(BridgecorrError):
    """Landmarks that do not determine the transform that was asked for."""


class TransformError(BridgecorrError):
    """A transform that cannot be evaluated, inverted or understood."""


class RefineError(BridgecorrError):
    """Images that cannot be registered, or not as it was asked for."""


class SessionError(BridgecorrError):
    """A session that cannot be replayed."""


class Cancelled(Exception):
    """The user cancelled the work. Not an error: nothing is wrong."""


def one_line(text: object) -> str:
    """Fold any text (an engine's multi-line message, say) into one line."""
    return " ".join(str(text).split()).rstrip(".;")
