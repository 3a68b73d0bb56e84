"""Keys that act in a viewer whatever its layers: undo, the worst pair, the link of the views.

They are napari actions, bound once for the program, so that its preferences change them. Whoever
has one registers it here: the Register panel then lists it among all keys, with a button.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.utils.action_manager import action_manager

from .landmark_keys import bind_first_keys, bound_keys

if TYPE_CHECKING:
    from .viewer_session import ViewerSession


@dataclass(frozen=True)
class ViewerKey:
    """Something that a key and a button do in a viewer.

    Parameters
    ----------
    full_name : str
        As napari's settings know it.
    title : str
        On the button.
    tip : str
        What it does.
    description : str
        In napari's list of shortcuts.
    key : str
        Its first key, as napari writes it.
    do : callable
        Takes the session of the viewer.
    """

    full_name: str
    title: str
    tip: str
    description: str
    key: str
    do: Callable[[ViewerSession], None]


_registered: dict[str, ViewerKey] = {}


def register_viewer_key(key: ViewerKey) -> None:
    """Make it known to napari, once, with the user's own keys where there are any."""
    if key.full_name in _registered:
        return
    _registered[key.full_name] = key

    # napari would fill in by itself what is annotated
    def command(viewer: Any) -> None:
        from .viewer_session import session_of

        key.do(session_of(viewer))

    command.__name__ = key.full_name.replace(":", "_").replace("-", "_")
    action_manager.register_action(key.full_name, command, key.description, ViewerModel)
    bind_first_keys(key.full_name, (key.key,))


def viewer_keys() -> tuple[ViewerKey, ...]:
    """All that were registered, in their order."""
    return tuple(_registered.values())


def keys_in_words(full_name: str) -> str:
    """The keys of an action at this moment, as they are printed on a keyboard; "" for none."""
    return " or ".join(_word(key) for key in bound_keys(full_name))


_WORDS = {"Escape": "Esc", "Delete": "Del", "Up": "↑", "Down": "↓", "Left": "←", "Right": "→"}


def _word(key: str) -> str:
    """napari's own signs for Space or Escape few can read."""
    *modifiers, last = key.replace("-", "+").split("+")
    return "+".join([*modifiers, _WORDS.get(last, last)])
