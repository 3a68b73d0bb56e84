"""What was clicked outlives the window: kept by itself, offered again, the same to the last bit."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari")

from killed_window import shown
from napari.layers import Points
from test_register_panel import click, settled

from napari_bridgecorr._napari import autosave_files
from napari_bridgecorr._napari.landmark_layers import SIDES
from napari_bridgecorr._napari.viewer_session import session_of
from napari_bridgecorr.errors import FitError
from napari_bridgecorr.session import load_session
from napari_bridgecorr.workflow.replay import run_session

HERE = Path(__file__).parent


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_window_is_continued(
    viewer: Any, open_panel: Any, qtbot: Any, phantom_files: Any, kept_sessions: Path
) -> None:
    files = [str(phantom_files.files[key]) for key in ("mri", "two_photon")]
    process = subprocess.Popen(
        [sys.executable, str(HERE / "killed_window.py"), *files], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    before = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert [m[0] for m in before["landmarks"]] == ["L01", "L02"]
    (path,) = kept_sessions.glob("[!.]*.json")

    panel = open_panel(viewer)
    row = panel.continuing
    qtbot.waitUntil(row.isVisible, timeout=5000)
    assert "2 landmarks" in row.words.text()
    click(row.go_on)
    session = session_of(viewer)
    qtbot.waitUntil(lambda: len(session.landmarks) == 2, timeout=20_000)
    settled(qtbot, viewer)
    qtbot.wait(200)
    after = json.loads(json.dumps(shown(viewer, session)))
    for key, wanted in before.items():
        assert after[key] == wanted, key
    assert panel.fit.model.currentData() == session.options.model == before["model"]
    assert not row.isVisible()
    assert "Where you left" in panel.message.text()
    # the file is a session of its own: what can be fitted is, and the rest is told
    with pytest.raises(FitError):
        run_session(path)


def test_sessions_are_kept_apart_and_the_newest_is_offered(
    registered: Any, qtbot: Any, kept_sessions: Path
) -> None:
    viewer, panel = registered
    qtbot.waitUntil(lambda: len(list(kept_sessions.glob("[!.]*.json"))) == 1, timeout=5000)
    assert autosave_files.kept() == []  # this window writes it
    assert not panel.continuing.isVisible()
    n = len(session_of(viewer).landmarks)
    layer = session_of(viewer).point_layer("fixed")
    layer.selected_data = {0}
    layer.remove_selected()
    viewer.window.remove_dock_widget(panel)  # within the half second
    qtbot.waitUntil(lambda: len(autosave_files.kept()) == 1, timeout=5000)
    (kept,) = autosave_files.kept()
    qtbot.waitUntil(lambda: _rows(autosave_files.kept()[0]) == [n - 1, n], timeout=5000)
    assert run_session(kept.path).fits["registration"].pairs.ids
    # opened as a file: the images that are there are used, the landmarks come back
    wanted = load_session(kept.path).landmark_sets[0].to_set()
    assert wanted.landmarks[0].fixed_um is None or wanted.landmarks[-1].fixed_um is None
    images = [layer for layer in viewer.layers if not isinstance(layer, Points)]
    qtbot.wait(200)  # the window has drawn itself in its new size
    for old in [layer for layer in viewer.layers if isinstance(layer, Points)]:
        old.data = old.data[:3]
    qtbot.wait(100)
    saved = Path(shutil.copy(kept.path, kept_sessions.parent / "study.json"))
    viewer.open(saved, plugin="napari-bridgecorr")
    session = session_of(viewer)
    qtbot.waitUntil(lambda: session.landmarks == wanted, timeout=10_000)
    assert [layer for layer in viewer.layers if not isinstance(layer, Points)] == images
    assert [len(session.point_layer(side).data) for side in SIDES] == [n - 1, n]


def _rows(kept: Any) -> list[int]:
    layers = kept.window["layers"]
    return [len(layer["data"]) for layer in layers if layer["kind"] == "points"]
