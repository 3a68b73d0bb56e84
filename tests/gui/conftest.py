"""A real window for every test: under Xvfb where there is a display, else offscreen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if sys.platform.startswith("linux"):
    # before any QApplication: without a display Qt would abort the interpreter
    os.environ.setdefault("QT_QPA_PLATFORM", "xcb" if os.environ.get("DISPLAY") else "offscreen")
    os.environ.setdefault("LIBGL_ALWAYS_SOFTWARE", "1")

pytest.importorskip("napari", reason="the window needs napari (pip install napari-bridgecorr[gui])")
pytest.importorskip("qtpy.QtWidgets", reason="the window needs Qt", exc_type=ImportError)

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_bridgecorr._napari.register_panel import RegisterPanel
    from napari_bridgecorr.workflow.demo import WrittenPhantom

_HERE = Path(__file__).parent
_WINDOW_FIXTURES = {
    "make_napari_viewer",
    "viewer",
    "registered",
    "open_panel",
    "open_file_panel",
    "on_a_display",
}
# what we cannot mend: each is raised inside the library that is named
_THIRD_PARTY = (
    # napari tells of every oblique layer that is sliced in 2-D; the panel offers to show it upright
    "ignore:Non-orthogonal slicing is being requested:UserWarning",
    # without a GPU
    "ignore:.*OpenGL.*:UserWarning:napari",
    # vispy and app-model on new Pythons
    "ignore::DeprecationWarning:vispy",
    "ignore::DeprecationWarning:app_model",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Third-party warnings are no failures here; all others are."""
    for item in items:
        if _HERE in item.path.parents:
            for text in _THIRD_PARTY:
                item.add_marker(pytest.mark.filterwarnings(text))
            if _WINDOW_FIXTURES & set(getattr(item, "fixturenames", ())):
                item.add_marker(
                    pytest.mark.skipif(
                        os.environ.get("QT_QPA_PLATFORM") == "offscreen",
                        reason="no display, and Qt's offscreen one cannot draw: use xvfb-run -a",
                    )
                )


@pytest.fixture(scope="session")
def phantom_files(tmp_path_factory: pytest.TempPathFactory) -> WrittenPhantom:
    """The shipped-size phantom in CZI, NIfTI and CSV files."""
    from napari_bridgecorr.phantom import PhantomOptions
    from napari_bridgecorr.workflow.demo import write_phantom

    return write_phantom(tmp_path_factory.mktemp("phantom"), PhantomOptions.sample())


@pytest.fixture(autouse=True)
def kept_sessions(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Windows keep their sessions here, not among the user's; the tour was taken."""
    state = tmp_path_factory.mktemp("state")
    (state / "tour_seen").touch()
    monkeypatch.setenv("BRIDGECORR_STATE", str(state))
    return state / "sessions"


@pytest.fixture
def on_a_display() -> None:
    """For windows of other processes."""


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Viewer]) -> Viewer:
    """A shown window with our plugin known to it."""
    made = make_napari_viewer(show=True)
    made.window.resize(1200, 900)
    return made


@pytest.fixture
def open_panel(qtbot: Any) -> Iterator[Callable[[Viewer], RegisterPanel]]:
    """Docks the Register panel in a viewer, as the menu does."""
    opened = []

    def dock(viewer: Viewer) -> RegisterPanel:
        _, panel = viewer.window.add_plugin_dock_widget("napari-bridgecorr", "Register")
        qtbot.wait(50)
        opened.append(panel)
        return panel

    yield dock
    opened.clear()


@pytest.fixture
def registered(
    viewer: Viewer, open_panel: Callable[[Viewer], RegisterPanel], phantom_files: Any, qtbot: Any
) -> tuple[Viewer, RegisterPanel]:
    """The phantom's files opened and fitted in the panel."""
    for key in ("mri", "two_photon", "landmarks"):
        viewer.open(phantom_files.files[key], plugin="napari-bridgecorr")
    panel = open_panel(viewer)
    qtbot.waitUntil(lambda: panel.results.warp.isEnabled(), timeout=20_000)
    qtbot.wait(100)  # choosing the layers rescales them: let that settle too
    return viewer, panel
