"""The examples that people copy run as they stand."""

import doctest
import importlib
import inspect
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import napari_bridgecorr

PROJECT = Path(__file__).resolve().parents[2]


def test_the_readmes_python_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(PROJECT)
    (code,) = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text("utf-8"), re.S)
    names: dict[str, object] = {}
    exec(code, names)
    registered = names["registered"]
    assert re.fullmatch(r"leave-one-out RMS \d+\.\d um\n", capsys.readouterr().out)
    plane = registered.data[0, 0, 6].compute()  # type: ignore[attr-defined]
    assert np.nanmax(plane) > 2 * np.nanmedian(plane)  # vessels stand out of the background


def test_the_docstring_of_fit_runs() -> None:
    # by its full name: the package offers the function under the module's name
    module = importlib.import_module("napari_bridgecorr.fitting.fit")
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.fixture
def beside_sample_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to write in, from which the sample is reached as in a clone."""
    (tmp_path / "sample_data").symlink_to(PROJECT / "sample_data", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_piece_of_the_python_page_runs(
    beside_sample_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (PROJECT / "docs/python.md").read_text("utf-8")
    pieces = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(pieces) >= 10
    names: dict[str, object] = {}
    for piece in pieces:
        exec(piece, names)
    said = capsys.readouterr().out
    assert re.search(r"target error: median (1|2)\d\.\d um", said)
    assert "README.md" in said.splitlines()[-1]  # the fault of the last piece, in words
    written = {p.name for p in beside_sample_data.iterdir()}
    assert written >= {"registered.nii.gz", "voxels.parquet", "plane.json", "T.json"}


SCRIPTS = {
    "register.py": r"target error at points kept out: median 2\d",
    "error_map.py": "folded voxels: 0",
    "plane_and_slabs.py": r"tilt 0\.\d+ degrees",
    "chain.py": r"there and back: \d\.\de-1\d um",
}


def test_every_script_is_run() -> None:
    assert {p.name for p in (PROJECT / "examples").glob("*.py")} == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_runs(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [name])
    runpy.run_path(str(PROJECT / "examples" / name), run_name="__main__")
    assert re.search(SCRIPTS[name], capsys.readouterr().out)


def test_the_python_interface_is_there_and_explained() -> None:
    source = inspect.getsource(napari_bridgecorr)
    seen_by_type_checkers = set(re.findall(r"import \w+ as (\w+)", source))
    assert set(napari_bridgecorr.__all__) == seen_by_type_checkers
    page = (PROJECT / "docs/python.md").read_text("utf-8")
    for name in napari_bridgecorr.__all__:
        thing = getattr(napari_bridgecorr, name)
        assert callable(thing), name
        assert inspect.getdoc(thing), name
        assert f"`{name}`" in page or f"bc.{name}" in page, f"docs/python.md lacks {name}"
    with pytest.raises(AttributeError, match="no_such"):
        napari_bridgecorr.no_such  # noqa: B018
