"""Writes what a window is working on into a file of its own, by itself, off the GUI thread."""

from __future__ import annotations

import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QTimer

from ..errors import BridgecorrError
from ..image import SpatialImage
from ..landmarks import LandmarkSet
from ..session import (
    ImageRef,
    LandmarkSetRecord,
    Output,
    RegistrationRecord,
    Session,
    fingerprint,
)
from . import autosave_files
from .before_the_end import BeforeTheEnd
from .jobs import LatestAnswer
from .kept_layout import docked_panels
from .kept_maps import MapFiles, maps_document
from .landmark_layers import SIDES, assign_ids, points_to_landmarks
from .outputs import image_reference
from .plane_bench import bench_of
from .resliced_layers import outputs_of, resliced_records
from .window_state import window_document

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..fitting import FitOptions
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

# what has changed is written after the first of these; it is not put off by further changes
_WRITE_MS = 400
# changes that nothing tells of (zoom, slice, contrast) are looked for so often
_LOOK_MS = 1500


_autosaves: weakref.WeakKeyDictionary[ViewerSession, Autosave] = weakref.WeakKeyDictionary()


def autosave_of(session: ViewerSession) -> Autosave:
    """The one that keeps a viewer's session, whichever panels are open."""
    if session not in _autosaves:
        _autosaves[session] = Autosave(session)
    return _autosaves[session]


class Autosave:
    """Keeps the session of one window, from its first landmark or plane on.

    Parameters
    ----------
    session : ViewerSession
        Held by weak reference.
    """

    def __init__(self, session: ViewerSession) -> None:
        self._session = weakref.ref(session)
        self._n_users = 0
        self._panel: Callable[[], dict[str, Any]] | None = None
        self.panel_state: dict[str, Any] = {}
        """What the Register panel showed last, or is to show when it is opened."""
        self._docks: list[str] = []
        self._maps = MapFiles()
        self._recorder = Recorder()
        self._written: tuple[dict[str, Any], LandmarkSet] | None = None
        self._path: Path | None = None
        self._has_begun = False
        self._has_complained = False
        self._ending: BeforeTheEnd | None = None
        self._answers = LatestAnswer()
        self._answers.answered.connect(self._on_written)
        self._answers.failed.connect(self._on_failed)
        self._due = QTimer()
        self._due.setSingleShot(True)
        self._due.setInterval(_WRITE_MS)
        self._due.timeout.connect(self.write_now)
        self._look = QTimer()
        self._look.setInterval(_LOOK_MS)
        self._look.timeout.connect(self.write_now)

    def join(self, lifeline: Lifeline, panel: Callable[[], dict[str, Any]] | None = None) -> None:
        """Keep the session as long as a panel is open.

        Parameters
        ----------
        lifeline : Lifeline
            The panel's.
        panel : callable, optional
            What the Register panel shows, as plain values.
        """
        session = self._session()
        if session is None:
            return
        self._n_users += 1
        if self._n_users == 1:
            self._look.start()
            if self._ending is not None:
                self._ending.end()  # the last writing is still going on
            self._ending = BeforeTheEnd(session.viewer, self._before_removal, self.finish)
        if panel is not None:
            self._panel = panel
        lifeline.at_end(partial(self._leave, panel))
        for signal in (
            session.landmarks_changed,
            session.images_changed,
            session.options_changed,
            session.maps.changed,
            bench_of(session).changed,
        ):
            lifeline.connect(signal, self._on_changed)

    @property
    def path(self) -> Path | None:
        """The file; None before there is anything to lose."""
        return self._path

    @property
    def has_panel(self) -> bool:
        """Whether the Register panel is open."""
        return self._panel is not None

    def document(self) -> dict[str, Any]:
        """What the window and the panel show now."""
        session = self._session()
        if session is None:
            return {}
        if self._panel is not None:
            self.panel_state = self._panel()
        # the last panel that is closed is there again next time
        self._docks = docked_panels(session) or self._docks
        return {
            **window_document(session),
            "panel": self.panel_state,
            "docks": self._docks,
            "maps": maps_document(session),
        }

    def write_now(self) -> None:
        """Hand what has changed to the thread that writes."""
        write = self._next_writing()
        if write is not None:
            self._answers.ask(write)

    def finish(self) -> None:
        """Have all of it on the disk when this returns: nothing may come after."""
        self._name_new_points()
        write = self._next_writing()
        if isalive(self._answers):  # when the interpreter ends Qt's objects go first
            self._answers.finish(write)

    def _before_removal(self) -> None:
        self._name_new_points()
        self.write_now()

    def _name_new_points(self) -> None:
        """The session reads changes a moment after they were made."""
        session = self._session()
        if session is not None and self._n_users:
            assign_ids(session.point_layer("fixed"), session.point_layer("moving"))

    def _next_writing(self) -> Callable[[], Path] | None:
        """What writes the window as it is now; None if nothing has changed."""
        session = self._session()
        if session is None or session.viewer is None or not self._n_users:
            return None
        # as the layers are now: the session has not read a change of this moment yet
        points = [session.point_layer(side) for side in SIDES]
        landmarks = points_to_landmarks(*points, session.unknown_units())
        bench = bench_of(session)
        has_map = session.maps.chosen is not None
        has_work = bool(len(landmarks)) or not bench.is_empty or has_map
        self._has_begun = self._has_begun or has_work
        layers = [f(side) for side in SIDES for f in (session.image_layer, session.point_layer)]
        layers.append(bench.layer)
        # a window that is closed takes its layers out first: what it had stays kept
        if not self._has_begun or all(layer is None for layer in layers):
            return None
        options = session.options
        window = self.document()
        if (window, landmarks) == self._written:
            return None
        self._written = window, landmarks
        if self._path is None:
            try:
                self._path = autosave_files.new_file()
            except OSError as error:
                self._on_failed(str(error))
                return None
        try:
            images = [session.image(side) for side in SIDES]
        except BridgecorrError:
            images = [None, None]  # step 1 says what is wrong with the layer
        path, recorder, resliced = self._path, self._recorder, resliced_records(session)
        maps = self._maps

        def write() -> Path:
            record = recorder.session(images, landmarks, options, path.stem, resliced)
            autosave_files.write(path, record, maps.put_beside(window, path))
            return path

        return write

    def _on_changed(self) -> None:
        if not self._due.isActive():
            self._due.start()

    def _on_written(self, path: Path) -> None:  # noqa: ARG002 - the signal's
        self._has_complained = False
        self._end_after_the_last()

    def _on_failed(self, reason: str) -> None:
        session = self._session()
        self._written = None  # tried again at the next look
        if session is not None and not self._has_complained and self._n_users:
            self._has_complained = True
            session.told.emit(
                f"The session cannot be kept by itself ({reason}): save it yourself, step 5.", True
            )
        self._end_after_the_last()

    def _leave(self, panel: Callable[[], dict[str, Any]] | None) -> None:
        # when the interpreter ends Qt's objects go first, one after the other; of a window that is
        # closed its parts, when all is written
        is_gone = self._ending is not None and self._ending.is_window_gone
        if isalive(self._answers) and not is_gone:
            self.write_now()
        if panel is not None and panel is self._panel:
            self._panel = None  # it holds the session
        self._n_users -= 1
        if self._n_users:
            return
        for timer in (self._due, self._look):
            if isalive(timer):
                timer.stop()
        if self._path is not None:
            autosave_files.let_go(self._path)
        self._path, self._written, self._has_begun, self.panel_state = None, None, False, {}
        if self._ending is not None:
            self._ending.look_no_more()
        if not (isalive(self._answers) and self._answers.is_busy):
            self._end_after_the_last()

    def _end_after_the_last(self) -> None:
        """Nobody uses this any longer, and what it had is written."""
        if not self._n_users and self._ending is not None:
            self._ending.end()
            self._ending = None


class Recorder:
    """Makes the part that `bridgecorr run` repeats; remembers what it knows of the files."""

    def __init__(self) -> None:
        self._references: dict[tuple[Any, ...], ImageRef] = {}

    def session(
        self,
        images: list[SpatialImage | None],
        landmarks: LandmarkSet,
        options: FitOptions,
        stem: str,
        resliced: Sequence[Mapping[str, Any]] = (),
    ) -> Session:
        """Images, landmarks and how they are fitted; without images that no file holds."""
        records = (LandmarkSetRecord("landmarks", tuple(landmarks)),)
        sources, slices = outputs_of(resliced, stem)
        try:
            references = tuple(
                self._reference(image, side) for image, side in zip(images, SIDES, strict=True)
            )
        except BridgecorrError:
            return Session(tuple(sources), records, outputs=tuple(slices))
        made = RegistrationRecord("registration", "fixed", "moving", "landmarks", options)
        return Session(
            (*references, *sources),
            records,
            (made,),
            outputs=(Output("transform", f"{stem}_transform.json", "registration"), *slices),
        )

    def _reference(self, image: SpatialImage | None, side: str) -> ImageRef:
        if image is None:
            raise BridgecorrError(f"no {side} image is chosen")
        source = image.source
        key = (side, source, image.grid.index_to_world.tobytes(), image.placement)
        if key not in self._references:
            found = image_reference(image, side)
            mark = fingerprint(Path(found.path))
            self._references[key] = replace(found, fingerprint=mark)
        return self._references[key]
