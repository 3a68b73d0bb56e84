"""Transform files: every type round trips, and nothing else gets in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_bridgecorr.errors import ReadError
from napari_bridgecorr.fitting import FitOptions, fit
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.io.transform_files import (
    fit_document,
    read_transform,
    transform_document,
    write_document,
)
from napari_bridgecorr.landmarks import LandmarkSet
from napari_bridgecorr.transform import Affine, Chain, DisplacementField, Transform

POINTS = np.random.default_rng(5).uniform(-50, 450, (200, 3))


def landmarks(n: int = 12) -> LandmarkSet:
    rng = np.random.default_rng(0)
    fixed = rng.uniform(0, 400, (n, 3))
    return LandmarkSet.from_pairs(fixed, fixed[:, [1, 0, 2]] + rng.normal(scale=9, size=(n, 3)))


def spline(dimensions: int = 3) -> Transform:
    return fit(landmarks().pairs(), FitOptions("tps", 3.0, dimensions)).transform


def field(dtype: str) -> DisplacementField:
    grid = Grid.from_spacing((5, 6, 7), (80.0, 70.0, 60.0), (-3, 2, 1))
    values = np.random.default_rng(1).normal(scale=20, size=(3, 5, 6, 7)).astype(dtype)
    return DisplacementField(grid, values)


AFFINE = Affine([[1.1, 0.2, 0, 3], [0, 0.9, 0.1, -1e-7], [0.3, 0, 1.05, 1e6 / 3], [0, 0, 0, 1]])
TRANSFORMS = {
    "affine": AFFINE,
    "spline": spline(),
    "planar spline": spline(2),
    "field f4": field("f4"),
    "field f8": field("f8"),
    "chain": Chain(AFFINE, spline(), field("f4"), AFFINE.inverse()),
    "inverse": spline().inverse(),
    "chain of chains": Chain(Chain(AFFINE, spline().inverse()), AFFINE),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_comes_back_to_the_last_bit(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.json"
    transform = TRANSFORMS[name]
    write_document(transform_document(transform), path)
    read = read_transform(path)
    assert (read.model, read.pairs) == (None, None)
    assert type(read.transform) is type(transform)
    np.testing.assert_array_equal(read.transform.map(POINTS), transform.map(POINTS))
    assert read.transform.to_dict() == transform.to_dict()
    document = json.loads(path.read_text())
    assert document["format"] == "bridgecorr-transform"
    assert document["version"] == 1
    assert document["direction"] == "fixed_to_moving"


def test_the_affine_stands_in_the_file_as_the_design_says(tmp_path: Path) -> None:
    write_document(transform_document(AFFINE), tmp_path / "t.json")
    part = json.loads((tmp_path / "t.json").read_text())["transform"]
    assert part == {"type": "affine", "matrix": AFFINE.matrix.tolist()}
    column = np.array(part["matrix"]) @ [1, 2, 3, 1]
    np.testing.assert_allclose(AFFINE.map([[1, 2, 3]])[0], column[:3], rtol=1e-15)


def test_the_first_of_a_chain_is_applied_first(tmp_path: Path) -> None:
    double = {"type": "affine", "matrix": np.diag([2.0, 2, 2, 1]).tolist()}
    shift = {"type": "affine", "matrix": Affine.from_parts(np.eye(3), (1, 0, 0)).matrix.tolist()}
    found = read_text(tmp_path, {"type": "chain", "transforms": [double, shift]})
    np.testing.assert_array_equal(found.map([[5, 5, 5]]), [[11, 10, 10]])


@pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine", "tps"])
def test_a_fit_keeps_its_landmarks_and_diagnostics(tmp_path: Path, model: str) -> None:
    pairs = landmarks().pairs()
    fitted = fit(pairs, FitOptions(model))
    write_document(fit_document(fitted), tmp_path / "t.json")
    read = read_transform(tmp_path / "t.json")
    assert (read.model, read.dimensions) == (model, 3)
    assert read.pairs is not None
    assert read.pairs.ids == pairs.ids
    np.testing.assert_array_equal(read.pairs.fixed_um, pairs.fixed_um)
    np.testing.assert_array_equal(read.pairs.moving_um, pairs.moving_um)
    np.testing.assert_array_equal(read.transform.map(POINTS), fitted.transform.map(POINTS))
    part = read.document["fit"]["diagnostics"]
    assert part["loo_rms_um"] == fitted.diagnostics.loo_rms_um


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["type", "matrix", "transforms", "grid"]), inner)
        ),
        max_leaves=12,
    )
)
def test_any_other_json_is_refused_in_one_line(tmp_path: Path, part: Any) -> None:
    assert "\n" not in refusal(tmp_path, json.dumps(wrapped(part)))


def wrapped(part: Any, **changed: Any) -> dict[str, Any]:
    document = transform_document(AFFINE)
    return {**document, "transform": part, **changed}


def read_text(folder: Path, part: Any) -> Transform:
    path = folder / "t.json"
    path.write_text(json.dumps(wrapped(part)))
    return read_transform(path).transform


def refusal(folder: Path, content: str | bytes) -> str:
    path = folder / "bad.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ReadError) as caught:
        read_transform(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 2000
    return str(caught.value)


GOOD = AFFINE.to_dict()
SPLINE = spline().to_dict()
FIELD = field("f4").to_dict()
MATRIX = AFFINE.matrix.tolist()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, "not a bridgecorr transform"),
        (wrapped(GOOD, format="other"), "not a bridgecorr transform"),
        (wrapped(GOOD, version=2), "version is 2"),
        (wrapped(GOOD, version=None), "version is None"),
        (wrapped(GOOD, direction="moving_to_fixed"), "direction"),
        (wrapped({"type": "magic"}), "'magic'"),
        (wrapped({"type": "affine"}), "lacks 'matrix'"),
        (wrapped({"type": "affine", "matrix": np.eye(3).tolist()}), "4 x 4"),
        (wrapped({"type": "affine", "matrix": [[float("nan")] * 4] * 4}), "not finite"),
        (wrapped({"type": "affine", "matrix": np.zeros((4, 4)).tolist()}), "damaged"),
        (wrapped({"type": "affine", "matrix": [[10**400] * 4] * 4}), "damaged"),
        (wrapped({"type": "chain", "transforms": []}), "at least one"),
        (wrapped({"type": "chain", "transforms": 5}), "damaged"),
        (wrapped({**SPLINE, "kernel": "r^3"}), "kernel"),
        (wrapped({**SPLINE, "dimensions": 4}), "not known"),
        (wrapped({**SPLINE, "dimensions": float("inf")}), "damaged"),
        (wrapped({**SPLINE, "scale_um": 0}), "scale"),
        (wrapped({**SPLINE, "weights_um": SPLINE["weights_um"][:-1]}), "shape"),
        (wrapped({**SPLINE, "fixed_um": []}), "shape"),
        (wrapped({**FIELD, "data": FIELD["data"][:40]}), "displacement field"),
        (wrapped({**FIELD, "data": "!!"}), "displacement field"),
        (wrapped({**FIELD, "dtype": "object"}), "object"),
        (wrapped({**FIELD, "grid": {**FIELD["grid"], "shape": [10**9] * 3}}), "d"),
        (wrapped({**FIELD, "grid": {**FIELD["grid"], "shape": [0, 6, 7]}}), "damaged"),
        (wrapped({**FIELD, "grid": {**FIELD["grid"], "shape": [float("inf"), 6, 7]}}), "damaged"),
        (wrapped(GOOD, fit="yes"), "fit is damaged"),
        (wrapped(GOOD, fit={"landmarks": {"id": ["a"], "fixed_um": [], "moving_um": []}}), "fit"),
    ],
)
def test_each_wrong_document_is_told_apart(tmp_path: Path, document: Any, said: str) -> None:
    assert said in refusal(tmp_path, json.dumps(document))


@pytest.mark.parametrize("changed", [{"model": "magic"}, {"dimensions": 7}, {"nothing": True}])
def test_a_damaged_fit_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    document = fit_document(fit(landmarks().pairs(), FitOptions("affine")))
    if "nothing" in changed:
        changed = {"landmarks": {"id": [], "fixed_um": [], "moving_um": []}}
    document["fit"] = {**document["fit"], **changed}
    assert "fit" in refusal(tmp_path, json.dumps(document))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1]", "JSON object"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"\0" * 100, "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'{"format": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
)
def test_what_is_not_json(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refusal(tmp_path, content)


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    part: dict[str, Any] = GOOD
    for _ in range(60):
        part = {"type": "chain", "transforms": [part]}
    assert "too deeply" in refusal(tmp_path, json.dumps(wrapped(part)))


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="folder"):
        read_transform(tmp_path)
    with pytest.raises(ReadError, match="no such file"):
        read_transform(tmp_path / "t.json")
    with pytest.raises(ReadError, match="not a file"):
        read_transform(Path("/dev/zero"))
