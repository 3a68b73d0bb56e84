"""Sessions: saved, moved, replayed to the same numbers, and refused where they do not hold."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pyarrow.parquet as pq
import pytest

from napari_bridgecorr.errors import BridgecorrError, ReadError, SessionError
from napari_bridgecorr.fitting import FitOptions
from napari_bridgecorr.geometry import Placement
from napari_bridgecorr.io.registry import open_image
from napari_bridgecorr.io.writers import write_image
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.session import (
    ImageRef,
    Output,
    Session,
    fingerprint,
    is_session,
    load_session,
    load_window,
    save_session,
)
from napari_bridgecorr.workflow.replay import new_session, run_session

OUTPUTS = (
    Output("landmarks", "marks.csv", "registration"),
    Output("transform", "t.json", "registration"),
    Output("warp", "sub/warped.nii.gz", "registration", {"spacing_um": [200, 200, 200]}),
    Output("table", "v.parquet", "registration", {"moving_channels": [0]}),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images in a subfolder, and a session beside it."""
    place = tmp_path / "study"
    (place / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, size, mm in (("fixed", 6, 0.1), ("moving", 12, 0.05)):
        data = rng.integers(0, 4000, (size, size, size)).astype(np.int16)
        affine = np.diag([mm, mm, mm, 1.0])
        header = nib.Nifti1Header()
        header.set_xyzt_units("mm")
        nib.save(nib.Nifti1Image(data, affine, header), place / "images" / f"{name}.nii.gz")
    save_session(session(place, OUTPUTS), place / "s.json")
    return place


def session(place: Path, outputs: tuple[Output, ...], **changed: Any) -> Session:
    rng = np.random.default_rng(1)
    fixed = rng.uniform(0, 500, (10, 3))
    marks = LandmarkSet.from_pairs(fixed, fixed + rng.normal(scale=10, size=(10, 3)))
    return new_session(
        ImageRef("f", str(place / "images" / "fixed.nii.gz")),
        ImageRef("m", str(place / "images" / "moving.nii.gz")),
        marks,
        FitOptions(**{"model": "tps", "smoothing": 5.0, **changed}),
        masks={"brain": ImageRef("b", str(place / "images" / "fixed.nii.gz"))},
        outputs=outputs,
    )


@pytest.mark.parametrize("smoothing", ["auto", 5.0, 0.0, 1e-9 / 3])
def test_a_session_comes_back_as_it_was(folder: Path, smoothing: Any) -> None:
    made = session(folder, OUTPUTS, smoothing=smoothing)
    save_session(made, folder / "again.json")
    read = load_session(folder / "again.json")
    assert read.registrations[0].options == made.registrations[0].options
    assert type(read.registrations[0].options.smoothing) is type(smoothing)
    assert read == made
    document = json.loads((folder / "again.json").read_text())
    assert document["format"] == "bridgecorr-session"
    assert [i["path"] for i in document["images"]][:2] == [
        "images/fixed.nii.gz",
        "images/moving.nii.gz",
    ]
    assert str(folder) not in (folder / "again.json").read_text()


def columns(path: Path) -> dict[str, bytes]:
    table = pq.read_table(path)
    return {n: table[n].to_numpy().tobytes() for n in table.column_names}


def test_what_a_window_showed_is_kept_beside_the_session(folder: Path) -> None:
    session = Session()
    save_session(session, folder / "session.json")
    window = {"camera": {"zoom": 0.1 + 0.2}, "layers": [{"data": [[1.0, -2.5, 3e-300]]}]}
    save_session(session, folder / "shown.json", window=window)
    assert load_window(folder / "shown.json") == window
    assert load_session(folder / "shown.json") == session
    assert load_window(folder / "session.json") == {}
    assert is_session(folder / "shown.json")
    (folder / "other.json").write_text("{}")
    assert not is_session(folder / "other.json")
    with pytest.raises(ReadError, match="not a bridgecorr session"):
        load_window(folder / "other.json")


def test_a_moved_session_runs_twice_to_the_same_bytes(folder: Path) -> None:
    result = run_session(folder / "s.json")
    assert [p.relative_to(folder).as_posix() for p in result.written] == [o.path for o in OUTPUTS]
    assert result.warnings == ()
    first = columns(folder / "v.parquet")
    assert {"mask_brain", "registration_error_um"} <= set(first)
    transform = (folder / "t.json").read_bytes()
    moved = folder.parent / "elsewhere"
    shutil.move(folder, moved)
    for output in OUTPUTS:
        (moved / output.path).unlink()
    again = run_session(moved / "s.json")
    assert columns(moved / "v.parquet") == first
    assert (moved / "t.json").read_bytes() == transform
    assert again.session.registrations[0].transform == result.session.registrations[0].transform
    assert not list(moved.rglob("*.partial.*"))


def test_a_fit_that_differs_from_the_record_is_said(folder: Path) -> None:
    made = session(folder, ())
    other = session(folder, (), model="rigid").registrations[0].transform
    changed = replace(made, registrations=(replace(made.registrations[0], transform=other),))
    save_session(changed, folder / "c.json")
    (warning,) = run_session(folder / "c.json").warnings
    assert "differs by" in warning


def test_a_changed_or_missing_image_is_refused(folder: Path) -> None:
    image = folder / "images" / "moving.nii.gz"
    content = image.read_bytes()
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SessionError, match="has changed since"):
        run_session(folder / "s.json")
    image.unlink()
    with pytest.raises(SessionError, match="cannot be read"):
        run_session(folder / "s.json")
    assert sorted(p.name for p in folder.iterdir()) == ["images", "s.json"]


def test_fingerprints_see_both_ends_size_and_folders(tmp_path: Path) -> None:
    path = tmp_path / "a"
    content = bytearray(5_000_000)
    path.write_bytes(content)
    seen = {fingerprint(path)}
    for change in (0, 4_999_999, 1 << 19):
        content[change] ^= 1
        path.write_bytes(content)
        seen.add(fingerprint(path))
    path.write_bytes(content + b"x")
    seen.add(fingerprint(path))
    assert len(seen) == 5
    before = fingerprint(tmp_path)
    (tmp_path / "b").write_text("x")
    assert fingerprint(tmp_path) != before


@pytest.mark.parametrize(
    ("output", "said"),
    [
        (Output("table", "../v.parquet", "registration"), "outside"),
        (Output("table", "/tmp/v.parquet", "registration"), "outside"),
        (Output("table", ".", "registration"), "outside"),
        (Output("transform", "s2.json", "registration"), "overwrite"),
        (Output("warp", "images/moving.nii.gz", "registration"), "overwrite"),
        (Output("table", "v.parquet", "registration", {"colour": 1}), "options"),
        (Output("table", "v.parquet", "registration", {"spacing_um": "wide"}), "options"),
        (Output("table", "v.parquet", "registration", {"moving_channels": [7]}), "channels"),
        (Output("warp", "w.nii", "registration", {"blur": 1}), "options"),
        (Output("warp", "w.nii", "registration", {"spacing_um": "wide"}), "options"),
        (Output("warp", "w.nii", "registration", {"interpolation": "x"}), "interpolation"),
        (Output("transform", "t.json", "registration", {"x": 1}), "'x'"),
        (Output("report", "r.html", "registration", {"x": 1}), "'x'"),
        (Output("table", "v.parquet", "nobody"), "nobody"),
        (Output("table", "s2.json/v.parquet", "registration"), "folder"),
    ],
)
def test_outputs_that_cannot_be(folder: Path, output: Output, said: str) -> None:
    save_session(session(folder, (output,)), folder / "s2.json")
    content = (folder / "s2.json").read_bytes()
    with pytest.raises(BridgecorrError, match=said):
        run_session(folder / "s2.json")
    assert (folder / "s2.json").read_bytes() == content
    left = {p.name for p in folder.rglob("*")}
    assert left == {"images", "fixed.nii.gz", "moving.nii.gz", "s.json", "s2.json"}


def test_references_to_nothing_are_refused(folder: Path) -> None:
    made = session(folder, OUTPUTS)
    for changed in (
        replace(made, images=made.images[1:]),
        replace(made, images=made.images[:2]),
        replace(made, landmark_sets=()),
        replace(made, registrations=()),
    ):
        save_session(changed, folder / "c.json")
        with pytest.raises(SessionError, match="the session has no"):
            run_session(folder / "c.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "other"}, "not a bridgecorr session"),
        ({"schema_version": 2}, "schema version is 2"),
        ({"images": 5}, "images"),
        ({"images": [{"id": "a"}]}, "path"),
        ({"outputs": [{"kind": "magic", "path": "a", "registration": "r"}]}, "kind"),
        ({"landmark_sets": [{"id": "a", "landmarks": [{"id": 1, "fixed_um": [1, 2]}]}]}, "landm"),
    ],
)
def test_wrong_documents_are_told_apart(folder: Path, change: dict[str, Any], said: str) -> None:
    path = folder / "s.json"
    document = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps(document))
    with pytest.raises(ReadError) as caught:
        run_session(path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_files(folder: Path) -> None:
    path = folder / "s.json"
    content = path.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"\xff" * 40, b"[]", b"null"):
        path.write_bytes(damaged)
        with pytest.raises(ReadError):
            load_session(path)


def test_a_replay_places_the_images_as_the_user_said(folder: Path) -> None:
    made = session(folder, ())
    placed = replace(made.images[1], spacing_um=(30.0, 40.0, 50.0), orientation=("y", "-z", "x"))
    output = Output("table", "v.parquet", "registration", {"spacing_um": [100, 100, 100]})
    flipped = replace(made, images=(made.images[0], placed, made.images[2]), outputs=(output,))
    save_session(flipped, folder / "p.json")
    read = load_session(folder / "p.json")
    assert read.images[1].placement == Placement((30.0, 40.0, 50.0), ("y", "-z", "x"))
    run_session(folder / "p.json")
    found = columns(folder / "v.parquet")
    # the same numbers as from a file whose own header says so
    stored = open_image(placed.path).placed(read.images[1].placement)
    write_image(stored, folder / "images" / "turned.nii.gz")
    named = replace(made.images[1], path=str(folder / "images" / "turned.nii.gz"), fingerprint="")
    save_session(
        replace(flipped, images=(made.images[0], named, made.images[2])), folder / "q.json"
    )
    run_session(folder / "q.json")
    expected = columns(folder / "v.parquet")
    assert sorted(found) == sorted(expected)
    moving = next(n for n in found if n.startswith("moving"))
    assert np.allclose(
        np.frombuffer(found[moving], np.float32),
        np.frombuffer(expected[moving], np.float32),
        rtol=1e-3,
        equal_nan=True,
    )


def test_sessions_of_before_have_no_orientation(folder: Path) -> None:
    document = json.loads((folder / "s.json").read_text())
    for image in document["images"]:
        del image["orientation"]
    (folder / "old.json").write_text(json.dumps(document))
    assert load_session(folder / "old.json").images[0].placement.is_empty


def test_an_orientation_that_is_none_is_refused_in_one_line(folder: Path) -> None:
    document = json.loads((folder / "s.json").read_text())
    document["images"][0]["orientation"] = ["z", "z", "x"]
    (folder / "bad.json").write_text(json.dumps(document))
    with pytest.raises(BridgecorrError, match="names each of z, y, x once"):
        run_session(folder / "bad.json")
