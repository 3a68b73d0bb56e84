"""``bridgecorr chain``: registrations one after the other, from files and through a graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.io.graph_file import is_graph_file, read_graph
from napari_bridgecorr.io.transform_files import (
    fit_document,
    read_transform,
    transform_document,
    write_document,
    write_transform,
)
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.transform import Affine, Chain, Transform

Output = pytest.CaptureFixture[str]

TURN = Affine.from_parts([[0, 1, 0], [-1, 0, 0], [0, 0, 2]], (1, 2, 3))
SHIFT = Affine.from_parts(np.eye(3), (0, 0, 100))
POINTS = np.random.default_rng(4).uniform(0, 500, (25, 3))


def bend() -> Any:
    rng = np.random.default_rng(0)
    fixed = rng.uniform(0, 500, (20, 3))
    moving = TURN.map(fixed) + 10 * np.sin(fixed / 90) + rng.normal(0, 2, fixed.shape)
    return fit(LandmarkSet.from_pairs(fixed, moving).pairs(), FitOptions())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_document(fit_document(bend()), tmp_path / "bend.json")
    write_document(transform_document(SHIFT), tmp_path / "shift.json")
    (tmp_path / "more").mkdir()
    write_transform(TURN, tmp_path / "more" / "turn.tfm")
    rows = [",".join(repr(v) for v in p) for p in POINTS.tolist()]
    (tmp_path / "points.csv").write_text("\n".join(["z_um,y_um,x_um", *rows]) + "\n")
    graph = {
        "format": "bridgecorr-graph",
        "version": 1,
        "registrations": [
            {"fixed": "in vivo", "moving": "ex vivo", "transform": "bend.json"},
            {"fixed": "slide", "moving": "ex vivo", "transform": "shift.json", "error_um": 4},
            {
                "fixed": "in vivo",
                "moving": "ex vivo",
                "transform": "more/turn.tfm",
                "error_um": 900,
            },
        ],
    }
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    return tmp_path


def said(arguments: list[Any], capsys: Output) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["chain", *map(str, arguments), "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_files_one_after_the_other(folder: Path, capsys: Output) -> None:
    out = folder / "whole.json"
    names = [folder / "shift.json", f"{folder / 'bend.json'}^-1", folder / "shift.json"]
    found = said([*names, "-o", out], capsys)
    assert found["steps"] == 3
    assert not found["exact"]
    bent = read_transform(folder / "bend.json").transform
    expected = Chain(SHIFT, bent.inverse(), SHIFT).map(POINTS)
    np.testing.assert_allclose(read_transform(out).transform.map(POINTS), expected, atol=1e-9)
    # affines fold, and fit into formats of matrices
    turn = folder / "more" / "turn.tfm"
    found = said([folder / "shift.json", turn, "-o", folder / "whole.tfm"], capsys)
    assert found["steps"] == 1
    whole = read_transform(folder / "whole.tfm").transform
    np.testing.assert_allclose(whole.map(POINTS), TURN.map(SHIFT.map(POINTS)), atol=1e-6)
    # what cancels is gone
    assert said([names[1], folder / "bend.json", "-o", out], capsys)["steps"] == 1
    np.testing.assert_allclose(read_transform(out).transform.map(POINTS), POINTS, atol=1e-9)


def test_the_way_through_a_graph(folder: Path, capsys: Output) -> None:
    out = folder / "T.json"
    found = said([folder / "graph.json", "slide", "in vivo", "-o", out], capsys)
    # of the two registrations of the same images, the one with the lesser error
    assert found["route"] == "slide -[shift.json]-> ex vivo <-[bend.json]- in vivo"
    fitted = json.loads((folder / "bend.json").read_text())["fit"]["diagnostics"]["loo_rms_um"]
    assert found["expected_error_um"] == pytest.approx(np.hypot(4, fitted))
    bent = read_transform(folder / "bend.json").transform
    moved = read_transform(out).transform.map(POINTS)
    np.testing.assert_allclose(bent.map(moved), SHIFT.map(POINTS), atol=1e-5)
    assert json.loads(out.read_text())["chain_of"]["spaces"] == ["slide", "ex vivo", "in vivo"]
    listed = said([folder / "graph.json"], capsys)
    assert listed["spaces"] == ["in vivo", "ex vivo", "slide"]
    assert len(listed["loops"]) == 1


def test_loop_closure_at_points(folder: Path, capsys: Output) -> None:
    points = folder / "points.csv"
    found = said([folder / "graph.json", "in vivo", "slide", "--check", points], capsys)
    (loop,) = found["loops"]
    bent: Transform = read_transform(folder / "bend.json").transform
    apart = np.linalg.norm(bent.inverse().map(TURN.map(POINTS)) - POINTS, axis=1)
    assert loop["rms_um"] == pytest.approx(np.sqrt(np.mean(apart**2)), rel=1e-6)
    assert loop["largest_um"] == pytest.approx(apart.max(), rel=1e-6)
    assert loop["undefined"] == 0
    turn = folder / "more" / "turn.tfm"
    found = said([turn, f"{folder / 'bend.json'}^-1", "--check", points], capsys)
    assert found["loops"][0]["rms_um"] == pytest.approx(loop["rms_um"], rel=1e-6)
    assert (
        main(["chain", str(folder / "graph.json"), "in vivo", "slide", "--check", str(points)]) == 0
    )
    out = capsys.readouterr().out
    assert "points come back RMS" in out
    assert "root of the sum of squares" in out


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../bend.json", "outside its folder"),
        ("/etc/passwd", "outside its folder"),
        ("C:\\t.json", "outside its folder"),
        ("a\0b", "cannot be"),
        ("none.json", "no such file"),
        ("link.json", "outside its folder"),
        (7, "does not say its 'transform'"),
    ],
)
def test_files_elsewhere_are_not_read(folder: Path, name: Any, words: str) -> None:
    inside = folder / "more"
    (inside / "link.json").symlink_to(folder / "bend.json")
    entry = {"fixed": "a", "moving": "b", "transform": name}
    path = inside / "graph.json"
    path.write_text(
        json.dumps({"format": "bridgecorr-graph", "version": 1, "registrations": [entry]})
    )
    with pytest.raises(ReadError, match=words):
        read_graph(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version is 2"),
        ({"registrations": []}, "lists no registrations"),
        ({"registrations": {}}, "lists no registrations"),
        ({"registrations": [5]}, "does not say its 'fixed'"),
        ({"format": "bridgecorr-plane"}, "no graph of registrations"),
    ],
)
def test_damaged_graphs_are_refused(folder: Path, change: dict[str, Any], words: str) -> None:
    path = folder / "graph.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ReadError, match=words):
        read_graph(path)


@pytest.mark.parametrize("error", ["much", True, -3, 1e400, [1], 10**400])
def test_absurd_errors_are_refused(folder: Path, error: Any) -> None:
    path = folder / "graph.json"
    document = json.loads(path.read_text())
    document["registrations"][0]["error_um"] = error
    path.write_text(json.dumps(document))
    with pytest.raises(ReadError):
        read_graph(path)


def test_wrong_use(folder: Path, capsys: Output) -> None:
    graph = str(folder / "graph.json")
    for arguments in (
        [graph, "in vivo"],
        [graph, "in vivo", "slide"],
        [graph, "-o", "T.json"],
        [str(folder / "bend.json")],
    ):
        with pytest.raises(SystemExit) as end:
            main(["chain", *arguments])
        assert end.value.code == 2
    assert main(["chain", graph, "in vivo", "moon", "-o", str(folder / "T.json")]) == 1
    assert "the spaces are: in vivo, ex vivo, slide" in capsys.readouterr().err
    assert not (folder / "T.json").exists()
    assert not is_graph_file(folder / "bend.json")
    assert not is_graph_file(folder)


def test_damaged_bytes_are_refused_in_one_line(folder: Path) -> None:
    """Some hundred graphs with bytes changed: read, or refused as a ReadError."""
    rng = np.random.default_rng(0)
    good = (folder / "graph.json").read_bytes()
    path = folder / "damaged.json"
    messages = []
    for _ in range(300):
        content = bytearray(good)
        for place in rng.integers(0, len(content), rng.integers(1, 6)):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(len(content) // 2, len(content) + 1)])
        try:
            read_graph(path)
        except ReadError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert not any("\n" in message for message in messages)
