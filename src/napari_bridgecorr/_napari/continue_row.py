"""The offer to go on where a window was left, after a crash or not."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout

from ..errors import ReadError
from . import autosave_files
from .autosave import autosave_of
from .jobs import Job
from .kept_layout import dock_panels
from .kept_maps import KeptMap, read_maps, show_maps
from .landmark_layers import SIDES
from .lifeline import weak_call
from .panel_jobs import PanelJobs
from .panel_parts import ACCENT, ProgressLine, button, primary, wrapped
from .panel_tabs import dock_of
from .plane_bench import bench_of
from .window_state import open_images, pair_name, show_document, show_view_of

if TYPE_CHECKING:
    from ..progress import Progress
    from .autosave_files import Kept
    from .kept_views import PanelView
    from .lifeline import Lifeline
    from .viewer_session import ViewerSession

# layers of other sizes make napari look elsewhere, after a moment
_LOOK_AFTER_MS = 150


class ContinueRow(QFrame):
    """Offers the newest session that was kept, restores it, and keeps the one that begins.

    Parameters
    ----------
    session : ViewerSession
    lifeline : Lifeline
    view : PanelView or None
        What is kept of the Register panel, and restored. None beside another panel, which offers
        only sessions with a plane: the view is restored when the Register panel is opened.
    """

    def __init__(self, session: ViewerSession, lifeline: Lifeline, view: PanelView | None) -> None:
        super().__init__()
        self._session, self._lifeline, self._view = session, lifeline, view
        self._bench = bench_of(session)
        self._kept: list[Kept] = []
        self._offered: Kept | None = None
        self._refused: set[Path] = set()
        self.setObjectName("bridgecorr_continue_row")
        self.setStyleSheet(
            f"#bridgecorr_continue_row {{ border-left: 3px solid {ACCENT};"
            " background: rgba(127, 127, 127, 40); }"
        )
        self.words = wrapped("bridgecorr_kept")
        self.go_on = primary(
            "Continue where you left",
            "Opens the images again, with landmarks, options and views as they were",
            name="bridgecorr_continue",
        )
        self.refuse = button(
            "Not now",
            "Start anew; what was kept stays kept and is offered again next time",
            name="bridgecorr_not_now",
        )
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.go_on, 2)
        row.addWidget(self.refuse, 1)
        self.progress = ProgressLine()
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 6, 8, 6)
        column.setSpacing(6)
        column.addWidget(self.words)
        column.addLayout(row)
        column.addWidget(self.progress)
        self.go_on.clicked.connect(self.restore)
        self.refuse.clicked.connect(self._on_refused)
        self.jobs = PanelJobs(lifeline, self.progress, self)
        self.jobs.failed.connect(self._on_failed)
        self.jobs.changed.connect(self._enable)
        self.autosave = autosave_of(session)
        waiting = self.autosave.panel_state
        self.autosave.join(lifeline, None if view is None else view.shown_state)
        for signal in (session.landmarks_changed, session.images_changed, self._bench.changed):
            lifeline.connect(signal, self.refresh)
        self.hide()
        self._look_job = job = Job(lambda progress: autosave_files.kept())  # noqa: ARG005
        job.succeeded.connect(self._on_found)
        lifeline.start(job)
        if view is not None and waiting:
            # the panel was closed, or the session was restored without it
            QTimer.singleShot(0, weak_call(self.show_waiting, waiting))

    def show_waiting(self, state: dict[str, Any]) -> None:
        """Show the panel as it was, over the layers as they are."""
        if self._view is not None and not self._lifeline.is_over:
            self._view.show_state(state)

    def refresh(self) -> None:
        """Offer what suits the images that are open, as long as nothing has been clicked."""
        has_begun = bool(len(self._session.landmarks)) or not self._bench.is_empty
        self._offered = None if has_begun else self._suitable()
        if self._offered is not None:
            self.words.setText(_in_words(self._offered))
            self.words.setToolTip(str(self._offered.path))
        self.setVisible(self._offered is not None or self.jobs.is_busy)

    def restore(self) -> None:
        """Open the images in a job, then make the window again."""
        if self._offered is not None:
            self._restore(self._offered)

    def open_file(self, path: Path) -> None:
        """Restore a session that the user saved.

        Raises
        ------
        ReadError
            If it is damaged, or no window's.
        """
        _, kept = autosave_files.read(path)
        if not kept.window.get("layers"):
            raise ReadError(
                path, "it was not saved from a window", "repeat it with `bridgecorr run`"
            )
        self._restore(kept)

    def _restore(self, kept: Kept) -> None:
        self.words.setText(_in_words(kept))
        job = Job(partial(_read_all, kept.window, kept.path.parent))
        self.jobs.start(job, partial(self._on_opened, kept), "opening images")
        self.show()

    def _suitable(self) -> Kept | None:
        session = self._session
        names = [pair_name(session.image_layer(side)) for side in SIDES]
        chosen = {name for name in names if name}
        others = [k for k in self._kept if k.path not in self._refused]
        if self._view is None:
            others = [k for k in others if k.window.get("plane")]
        fitting = [k for k in others if chosen <= set(k.pair)]
        return fitting[0] if fitting else None

    def _on_found(self, kept: list[Kept]) -> None:
        if not self._lifeline.is_over:
            self._kept = kept
            self.refresh()

    def _on_opened(self, kept: Kept, read: _Read) -> None:
        images, maps, faults = read
        session, view = self._session, self._view
        state = kept.window.get("panel", {})
        if view is not None:
            view.open_views(state, self.window())
        else:
            self.autosave.panel_state = state
        dock_panels(session, kept.window.get("docks", ()))
        missing = [*show_document(session, kept.window, images), *faults]
        show_maps(session, maps)
        show_view_of(session, kept.window)
        if view is not None:
            view.show_state(state)
        QTimer.singleShot(_LOOK_AFTER_MS, weak_call(self.look_again, kept.window))
        self._kept = [k for k in self._kept if k is not kept]
        self.refresh()
        n = len(session.landmarks)
        what = f"{n} landmark{'' if n == 1 else 's'}"
        if not n and (self._bench.plane or maps):
            what = "the plane" if self._bench.plane else "the map by the images"
        said = f"Where you left: {what}."
        if missing:
            session.told.emit(f"{said} Not there: {'; '.join(missing)}.", True)
        else:
            session.told.emit(said, False)

    def look_again(self, window: dict[str, Any]) -> None:
        """Look where the window looked, if something made the views look elsewhere."""
        if not self._lifeline.is_over:
            show_view_of(self._session, window)
            if self._view is not None:
                self._view.look(window.get("panel", {}))
            dock = dock_of(self)
            if dock is not None:
                dock.raise_()  # another panel that was opened again may lie on it as a tab

    def _on_refused(self) -> None:
        self._refused |= {k.path for k in self._kept}
        self.refresh()

    def _on_failed(self, reason: str) -> None:
        self._session.told.emit(reason, True)

    def _enable(self) -> None:
        self.go_on.setEnabled(not self.jobs.is_busy)
        self.refuse.setEnabled(not self.jobs.is_busy)


_Read = tuple[list[Any], list[KeptMap], list[str]]


def _read_all(window: dict[str, Any], folder: Path, progress: Progress) -> _Read:
    """For a job's thread."""
    maps, faults = read_maps(window, folder)
    return open_images(window, folder, progress), maps, faults


def _in_words(kept: Kept) -> str:
    # the plane's image may be one of the pair
    names = list(dict.fromkeys(str(n) for n in kept.window.get("names", ()) if n))
    n = kept.n_landmarks
    has_plane = bool(kept.window.get("plane"))
    has_more = has_plane or bool(kept.window.get("maps"))
    what = [f"{n} landmark{'' if n == 1 else 's'}"] if n or not has_more else []
    what += ["a plane"] if has_plane else []
    what += ["a map by the images"] if kept.window.get("maps") else []
    on = " and ".join(names) or "no image"
    return f"<b>{' and '.join(what)}</b> on {on}, {_ago(kept.saved_s)}."


def _ago(saved_s: float) -> str:
    minutes = max(0.0, time.time() - saved_s) / 60
    if minutes < 1.5:
        return "just now"
    if minutes < 90:
        return f"{minutes:.0f} minutes ago"
    if minutes < 36 * 60:
        return f"{minutes / 60:.0f} hours ago"
    return f"{minutes / 1440:.0f} days ago"
