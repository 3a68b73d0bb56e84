"""``bridgecorr refine`` on the small phantom's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_bridgecorr.cli.main import main
from napari_bridgecorr.io.transform_files import read_transform

if TYPE_CHECKING:
    from conftest import Files


def images(files: Files) -> list[str]:
    return ["--fixed", str(files.fixed), "--moving", str(files.moving)]


def test_the_refined_map_knows_its_landmarks_and_what_was_done(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "refined.json"
    arguments = ["refine", *images(files), "--transform", str(files.transform), "-o", str(out)]
    assert main([*arguments, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    document = json.loads(out.read_text())
    assert document["refine"]["verdict"] == said["verdict"]
    assert said["after"]["held_out_rms_um"] <= said["before"]["held_out_rms_um"]
    before, after = read_transform(files.transform), read_transform(out)
    assert before.pairs is not None
    assert after.pairs is not None
    assert after.pairs.ids == before.pairs.ids
    steps = np.linalg.norm(
        after.transform.map(before.pairs.fixed_um) - before.transform.map(before.pairs.fixed_um),
        axis=1,
    )
    assert (steps.max() > 0) == said["accepted"]
    # landmarks that took part are no check landmarks
    check = ["evaluate", "--transform", str(out), "--landmarks", str(files.landmarks)]
    assert main(check) == 1
    assert "fitted to all of these landmarks" in capsys.readouterr().err


def test_without_a_start_it_is_wrong_use(files: Files, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["refine", *images(files), "-o", str(tmp_path / "T.json")])
    assert stop.value.code == 2


def test_an_unknown_channel_is_named(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "T.json"
    start = ["--transform", str(files.transform), "-o", str(out)]
    assert main(["refine", *images(files), *start, "--channel", "nuclei"]) == 1
    assert "no channel 'nuclei'" in capsys.readouterr().err
    assert not out.exists()
