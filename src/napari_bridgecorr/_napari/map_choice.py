"""Which map the results use: the landmarks' fit, or one that the images gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from psygnal import Signal

from .image_maps import ImageMap, Kind

if TYPE_CHECKING:
    from ..transform import Transform

Choice = Literal["fit"] | Kind


@dataclass(frozen=True, eq=False)
class LoadedTransform:
    """A transform that came from a file."""

    name: str
    transform: Transform


class MapChoice:
    """The newest map of each kind that the images gave, and which one the user wants.

    `changed` follows every change. Whether a map still holds is the session's to judge.
    """

    changed = Signal()

    def __init__(self) -> None:
        self._maps: dict[Kind, ImageMap] = {}
        self._choice: Choice = "fit"

    @property
    def choice(self) -> Choice:
        """What the user wants, or was given last."""
        return self._choice

    @property
    def chosen(self) -> ImageMap | None:
        """The map that is wanted; None for the landmarks' fit."""
        return None if self._choice == "fit" else self._maps.get(self._choice)

    def of_kind(self, kind: Kind) -> ImageMap | None:
        """The newest map of a kind."""
        return self._maps.get(kind)

    def add(self, found: ImageMap) -> None:
        """Keep a map in the place of the one of its kind, and use it."""
        self._maps[found.kind] = found
        self._choice = found.kind
        self.changed.emit()

    def choose(self, choice: Choice) -> None:
        """Use another map."""
        if choice != "fit" and choice not in self._maps:
            return
        if choice != self._choice:
            self._choice = choice
            self.changed.emit()
