"""The examples that people copy run as they stand."""

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

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
