"""Promises about the whole tree: who loads whom, and how large a file may grow."""

import ast
import subprocess
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

import napari_bridgecorr

PACKAGE = Path(napari_bridgecorr.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("napari", "qtpy", "PyQt", "PySide", "torch", "SimpleITK", "magicgui", "superqt")
ONE_FILE_EACH = (
    "nibabel",
    "pylibCZIrw",
    "tifffile",
    "zarr",
    "ome_zarr",
    "pyarrow",
    "matplotlib",
    "SimpleITK",
    "imagecodecs",
    "PIL",
    "fsspec",
    "indexed_gzip",
    "h5py",
    "distributed",
    "threadpoolctl",
    "torch",
)
WINDOW = ("napari", "qtpy", "magicgui", "superqt", "PyQt5", "PyQt6", "PySide2", "PySide6")
MOST_LINES = 450


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `statement`."""
    report = "import sys; print('\\n' + ' '.join({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\n{report}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(done.stdout.splitlines()[-1].split())


@cache
def syntax(path: Path) -> list[ast.AST]:
    """Every node of a file's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imported_modules(path: Path) -> set[str]:
    """Top-level names of the foreign modules that a file imports anywhere in its code."""
    found: set[str] = set()
    for node in syntax(path):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found.update(
                str(a.value).partition(".")[0] for a in node.args if isinstance(a, ast.Constant)
            )
    return found


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_bridgecorr",
        # the command line as `python -m` runs it, up to the end of --help
        "import runpy, sys\n"
        "sys.argv = ['bridgecorr', '--help']\n"
        "try:\n    runpy.run_module('napari_bridgecorr.cli', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code\n",
        "import napari_bridgecorr.fitting, napari_bridgecorr.image, napari_bridgecorr.evaluate",
        "import napari_bridgecorr.session, napari_bridgecorr.cli.opening",
    ],
    ids=["package", "help", "core", "use cases"],
)
def test_no_window_is_loaded(statement: str) -> None:
    loaded = loaded_after(statement)
    assert "napari_bridgecorr" in loaded
    assert sorted(m for m in loaded if m.startswith(HEAVY) and m != "napari_bridgecorr") == []


def test_every_file_is_seen() -> None:
    assert len(FILES) > 80


@pytest.mark.parametrize("library", ONE_FILE_EACH)
def test_a_foreign_library_lives_in_one_file(library: str) -> None:
    users = [str(f.relative_to(PACKAGE)) for f in FILES if library in imported_modules(f)]
    assert len(users) <= 1, users


def test_only_the_window_imports_the_window() -> None:
    guilty = defaultdict(set)
    for path in FILES:
        inside = path.relative_to(PACKAGE)
        if inside.parts[0] != "_napari":
            guilty[str(inside)] |= imported_modules(path).intersection(WINDOW)
    assert {k: v for k, v in guilty.items() if v} == {}


def test_files_fit_a_readers_head() -> None:
    lengths = {
        str(f.relative_to(PACKAGE)): len(f.read_text(encoding="utf-8").splitlines()) for f in FILES
    }
    assert {k: n for k, n in lengths.items() if n > MOST_LINES} == {}


def test_nothing_is_swallowed() -> None:
    broad = {"Exception", "BaseException"}
    guilty = []
    for path in FILES:
        for node in syntax(path):
            if not isinstance(node, ast.ExceptHandler):
                continue
            names = {"bare"} if node.type is None else {ast.unparse(node.type)}
            if isinstance(node.type, ast.Tuple):
                names = {ast.unparse(e) for e in node.type.elts}
            last = node.body[-1]
            passed_on = isinstance(last, ast.Raise) and last.exc is None  # tidied up, then raised
            if names & (broad | {"bare"}) and not passed_on:
                guilty.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert guilty == []
