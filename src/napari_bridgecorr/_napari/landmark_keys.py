"""Keys for what is done with landmarks: napari actions, so that its shortcuts change them.

An action is registered once for the program. A key acts in a viewer while that viewer's panel is
open: it is bound to the landmarks' layers, and, where no other layer uses it, to the viewer too.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.settings import get_settings
from napari.utils.action_manager import action_manager
from napari.utils.key_bindings import KeymapProvider
from napari.viewer import current_viewer
from psygnal import Signal

from .keyboard import is_written_elsewhere

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from .viewer_session import ViewerSession


class LandmarkKeymap(KeymapProvider):
    """Under this napari's preferences keep the keys; it is never in focus itself."""


@dataclass(frozen=True)
class KeyAction:
    """Something that a key and a button do.

    Parameters
    ----------
    name : str
        After "napari-bridgecorr:".
    title : str
        On the button.
    tip : str
        What it does, with units.
    keys : tuple of str
        Its first keys, as napari writes them.
    everywhere : bool
        Whether the key acts with any layer selected, not only with the landmarks'.
    repeats : bool
        Whether it goes on while the key is held down.
    """

    name: str
    title: str
    tip: str
    keys: tuple[str, ...]
    everywhere: bool = False
    repeats: bool = False

    @property
    def full_name(self) -> str:
        """As napari's settings know it."""
        return f"napari-bridgecorr:{self.name}"


# as napari writes the key that ends what is typed into a field; Qt passes it on to the window
_ENTER = ("Enter", "Return")
_bound: dict[str, list[str]] = {}
_installed: weakref.WeakSet[InstalledKeys] = weakref.WeakSet()
# of each viewer: who does what, by the action's name
_doers: weakref.WeakKeyDictionary[Any, dict[str, Callable[[str], None]]] = (
    weakref.WeakKeyDictionary()
)


def register(action: KeyAction) -> None:
    """Make it known to napari, with the user's own keys where there are any."""
    name = action.full_name
    if name in _bound:
        return
    action_manager.register_action(
        name, _command(action.name), f"Landmarks: {action.title}", LandmarkKeymap, action.repeats
    )
    bind_first_keys(name, action.keys)


def bind_first_keys(full_name: str, first: tuple[str, ...]) -> None:
    """Bind the keys that an action begins with, or the user's own, and follow their changes."""
    if not _bound:
        action_manager.events.shortcut_changed.connect(_on_changed)
    keys = get_settings().shortcuts.shortcuts.get(full_name, first)
    _bound[full_name] = []
    for key in keys:
        action_manager.bind_shortcut(full_name, key)
    # of the user's own keys, which napari bound when it started, nothing was told
    _bound[full_name] = [str(key) for key in keys]


def bound_keys(full_name: str) -> tuple[str, ...]:
    """The keys of an action at this moment, as napari writes them."""
    return tuple(dict.fromkeys(_bound.get(full_name, ())))


def keys_of(action: KeyAction) -> tuple[str, ...]:
    """Its keys of this moment, as napari writes them."""
    return bound_keys(action.full_name)


def _command(name: str) -> Callable[[], None]:
    def command() -> None:
        viewer = current_viewer()
        found = {} if viewer is None else _doers.get(getattr(viewer, "__wrapped__", viewer), {})
        if name in found:
            found[name](name)

    command.__name__ = f"bridgecorr_{name}"
    return command


def _on_changed(event: Any) -> None:
    """Follow the preferences: a key was added to an action, or all were taken from it."""
    if event.name in _bound:
        if event.shortcut:
            _bound[event.name].append(str(event.shortcut))
        else:
            _bound[event.name].clear()
        for installed in list(_installed):
            installed.refresh()


class InstalledKeys:
    """The keys of some actions, bound in one viewer until :meth:`end`.

    Parameters
    ----------
    session : ViewerSession
    actions : tuple of KeyAction
    do : callable
        Takes an action's name.
    """

    keys_changed = Signal()

    def __init__(
        self, session: ViewerSession, actions: tuple[KeyAction, ...], do: Callable[[str], None]
    ) -> None:
        self._session, self._actions, self._do = session, actions, do
        self._installed: list[tuple[weakref.ref[Any], str]] = []
        for action in actions:
            register(action)
        viewer = session.viewer
        if viewer is not None:
            _doers.setdefault(viewer, {}).update((action.name, do) for action in actions)
        _installed.add(self)
        self.refresh()

    def refresh(self) -> None:
        """Bind the keys as they are now to the layers that are there now."""
        self._unbind()
        for provider, action in self._places():
            for key in keys_of(action):
                provider.bind_key(key, self._callback(action.name, str(key)), overwrite=True)
                self._installed.append((weakref.ref(provider), key))
        self.keys_changed.emit()

    def end(self) -> None:
        """Give every key back."""
        _installed.discard(self)
        self._unbind()
        viewer = self._session.viewer
        if viewer is not None:
            for action in self._actions:
                _doers.get(viewer, {}).pop(action.name, None)

    def _places(self) -> Iterator[tuple[Viewer | Any, KeyAction]]:
        viewer = self._session.viewer
        canvases, moving = self._session.canvases, self._session.point_layer("moving")
        layers = [self._session.point_layer("fixed"), moving]
        if canvases.second is not None:
            layers.append(canvases.drawn(moving, "moving"))
        for action in self._actions:
            for layer in layers:
                if layer is not None:
                    yield layer, action
            if action.everywhere and viewer is not None:
                yield viewer, action
                if canvases.second is not None:
                    yield canvases.second.model, action

    def _callback(self, name: str, key: str) -> Callable[[Any], None]:
        do, session, ends_a_number = self._do, self._session, key in _ENTER

        def pressed(_provider: object) -> None:
            if not (ends_a_number and is_written_elsewhere(session)):
                do(name)

        return pressed

    def _unbind(self) -> None:
        for reference, key in self._installed:
            provider = reference()
            if provider is not None:
                provider.bind_key(key, None)
        self._installed.clear()
