"""What every format module offers to the registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..image import SpatialImage

Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Claim:
    """A reader's answer to "is this file yours?".

    Parameters
    ----------
    accepted : bool
    reason : str
        Why it was accepted or refused, as a clause: ``the name does not end in .nii or .nii.gz``.
    """

    accepted: bool
    reason: str


class Reader(Protocol):
    """Reader of one format. Stateless."""

    @property
    def format_name(self) -> str:
        """Short name of the format."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """File name patterns, as ``*.nii.gz``."""

    def claim(self, path: Path) -> Claim:
        """Whether the file is of this format, by its name and first bytes. Never raises."""

    def read(self, path: Path) -> tuple[SpatialImage, ...]:
        """Every image of the file, lazily.

        Raises
        ------
        ReadError
            If the file is damaged, truncated, empty, mislabelled or absurd.
        """
