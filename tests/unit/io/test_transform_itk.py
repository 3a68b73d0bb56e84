"""ITK's, ANTs' and elastix's transforms: our points are SimpleITK's points, both ways."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from napari_bridgecorr.errors import ReadError, WriteError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.geometry.anatomical import points_from_millimetres, points_to_millimetres
from napari_bridgecorr.io.transform_files import read_transform, write_transform
from napari_bridgecorr.transform import Affine, Chain, DisplacementField, ThinPlateSpline, Transform

RNG = np.random.default_rng(2)
POINTS_MM = RNG.uniform(-4, 4, (60, 3))
AFFINE_UM = 1e-6


def applied(transform: Any, points_mm: np.ndarray, frame: str = "LPS") -> np.ndarray:
    """SimpleITK's answer in our world."""
    d = transform.GetDimension()
    moved = np.array([transform.TransformPoint(p[:d].tolist()) for p in points_mm])
    if d == 2:
        return np.column_stack([np.full(len(moved), 5.0), 1000 * moved[:, ::-1]])
    return points_from_millimetres(moved, frame)


def ours(transform: Transform, points_mm: np.ndarray, d: int, frame: str = "LPS") -> np.ndarray:
    if d == 2:
        points = np.column_stack([np.full(len(points_mm), 5.0), 1000 * points_mm[:, 1::-1]])
        return transform.map(points)
    return transform.map(points_from_millimetres(points_mm, frame))


def with_parameters(make: Callable[[], Any], centre: bool = True) -> Any:
    transform = make()
    transform.SetParameters(
        (0.1 + np.arange(len(transform.GetParameters())) * 0.037 % 0.3).tolist()
    )
    if centre:
        transform.SetCenter([0.3, -0.2, 0.5][: transform.GetDimension()])
    return transform


def affine(d: int) -> Any:
    transform = with_parameters(lambda: sitk.AffineTransform(d))
    transform.SetMatrix((np.eye(d) + 0.1 * np.arange(d * d).reshape(d, d) / d).ravel().tolist())
    return transform


def euler_z_y_x() -> Any:
    transform = with_parameters(sitk.Euler3DTransform)
    transform.SetComputeZYX(True)
    return transform


MATRICES: dict[str, Callable[[], Any]] = {
    "identity": lambda: sitk.AffineTransform(3),
    "translation": lambda: with_parameters(lambda: sitk.TranslationTransform(3), centre=False),
    "translation 2-D": lambda: with_parameters(lambda: sitk.TranslationTransform(2), centre=False),
    "affine": lambda: affine(3),
    "affine 2-D": lambda: affine(2),
    "scale": lambda: with_parameters(lambda: sitk.ScaleTransform(3)),
    "scale 2-D": lambda: with_parameters(lambda: sitk.ScaleTransform(2)),
    "euler": lambda: with_parameters(sitk.Euler3DTransform),
    "euler z y x": euler_z_y_x,
    "versor": lambda: with_parameters(sitk.VersorTransform),
    "versor rigid": lambda: with_parameters(sitk.VersorRigid3DTransform),
    "similarity": lambda: with_parameters(sitk.Similarity3DTransform),
    "scale versor": lambda: with_parameters(sitk.ScaleVersor3DTransform),
    "scale skew versor": lambda: with_parameters(sitk.ScaleSkewVersor3DTransform),
    "compose scale skew versor": lambda: with_parameters(sitk.ComposeScaleSkewVersor3DTransform),
    "euler 2-D": lambda: with_parameters(sitk.Euler2DTransform),
    "similarity 2-D": lambda: with_parameters(sitk.Similarity2DTransform),
}


@pytest.mark.parametrize("ending", [".tfm", ".txt", ".h5", ".mat"])
@pytest.mark.parametrize("name", MATRICES)
def test_matrices_map_as_simpleitk_maps(tmp_path: Path, name: str, ending: str) -> None:
    transform = MATRICES[name]()
    path = tmp_path / f"t{ending}"
    sitk.WriteTransform(transform, str(path))
    read = read_transform(path)
    d = transform.GetDimension()
    assert (read.dimensions, isinstance(read.transform, Affine)) == (d, True)
    found = ours(read.transform, POINTS_MM, d)
    np.testing.assert_allclose(found, applied(transform, POINTS_MM), rtol=0, atol=AFFINE_UM)
    assert (d == 2) == any("flat images" in w for w in read.warnings)


def test_axes_keep_their_signs_where_the_user_says_so(tmp_path: Path) -> None:
    transform = affine(3)
    sitk.WriteTransform(transform, str(tmp_path / "t.tfm"))
    read = read_transform(tmp_path / "t.tfm", "RAS").transform
    found = ours(read, POINTS_MM, 3, "RAS")
    np.testing.assert_allclose(found, applied(transform, POINTS_MM, "RAS"), rtol=0, atol=AFFINE_UM)
    np.testing.assert_allclose(
        read.map([[0, 0, 1000.0]]) - read.map([[0, 0, 0]]),
        1000 * np.array([[transform.GetMatrix()[k] for k in (6, 3, 0)]]),
        rtol=0,
        atol=AFFINE_UM,
    )


def turned_field(d: int = 3, seed: int = 0) -> tuple[Any, np.ndarray]:
    """A field on a turned grid, and points within its voxels (their outer half too)."""
    rng = np.random.default_rng(seed)
    shape = (6, 7, 8)[:d]
    image = sitk.GetImageFromArray(rng.normal(0, 0.1, (*shape, d)), isVector=True)
    image.SetSpacing([0.5, 0.7, 0.6][:d])
    image.SetOrigin([0.3, -1.0, 2.0][:d])
    turn = Rotation.from_rotvec([0.2, -0.3, 0.4]).as_matrix()
    if d == 2:
        turn = Rotation.from_rotvec([0, 0, 0.4]).as_matrix()[:2, :2]
    image.SetDirection(turn.ravel().tolist())
    index = rng.uniform(-0.49, np.array(shape[::-1]) - 0.51, (80, d))
    points = np.array([image.TransformContinuousIndexToPhysicalPoint(i.tolist()) for i in index])
    return sitk.DisplacementFieldTransform(sitk.Image(image)), points


@pytest.mark.parametrize("ending", [".tfm", ".h5"])
@pytest.mark.parametrize("d", [2, 3])
def test_fields_map_as_simpleitk_maps(tmp_path: Path, ending: str, d: int) -> None:
    transform, points = turned_field(d)
    sitk.WriteTransform(transform, str(tmp_path / f"t{ending}"))
    read = read_transform(tmp_path / f"t{ending}")
    assert isinstance(read.transform, DisplacementField)
    found = ours(read.transform, points, d)
    np.testing.assert_allclose(found, applied(transform, points), rtol=0, atol=AFFINE_UM)
    assert any("outside its box" in w for w in read.warnings)


@pytest.mark.parametrize("ending", [".tfm", ".h5"])
def test_composites_apply_the_last_added_first(tmp_path: Path, ending: str) -> None:
    field, points = turned_field()
    first, last = affine(3), with_parameters(sitk.VersorRigid3DTransform)
    composite = sitk.CompositeTransform([last, field, first])
    inward = np.array([first.GetInverse().TransformPoint(p.tolist()) for p in points])
    path = tmp_path / f"t{ending}"
    sitk.WriteTransform(composite, str(path))
    found = ours(read_transform(path).transform, inward, 3)
    np.testing.assert_allclose(found, applied(composite, inward), rtol=0, atol=AFFINE_UM)


@pytest.mark.parametrize("ending", [".tfm", ".h5"])
@pytest.mark.parametrize("d", [2, 3])
def test_splines_are_sampled_to_their_stated_error(tmp_path: Path, ending: str, d: int) -> None:
    size = [20, 24, 30][:d]
    domain = sitk.Image(size, sitk.sitkFloat32)
    domain.SetSpacing([0.1] * d)
    spline = sitk.BSplineTransformInitializer(domain, [3, 4, 5][:d])
    coefficients = np.random.default_rng(1).normal(0, 0.01, len(spline.GetParameters()))
    spline.SetParameters(coefficients.tolist())
    sitk.WriteTransform(spline, str(tmp_path / f"t{ending}"))
    read = read_transform(tmp_path / f"t{ending}")
    points = np.random.default_rng(2).uniform(0.01, 0.09, (400, d)) * np.array(size)
    found = ours(read.transform, points, d)
    off = np.linalg.norm(found - applied(spline, points), axis=1)
    said = next(w for w in read.warnings if "B-spline" in w)
    stated = float(said.split("at most ")[1].split()[0])
    assert 0.1 * stated < off.max() <= 1.05 * stated
    assert stated < 0.2


def grid(turned: bool) -> Grid:
    matrix = np.diag([90.0, 70.0, 80.0, 1.0])
    if turned:
        matrix[:3, :3] = Rotation.from_rotvec([0.3, 0.1, -0.2]).as_matrix() @ matrix[:3, :3]
    matrix[:3, 3] = (-100.0, 250.0, 30.0)
    return Grid((6, 7, 8), matrix)


def our_field(turned: bool, dtype: str = "f8") -> DisplacementField:
    values = np.random.default_rng(4).normal(0, 20, (3, 6, 7, 8)).astype(dtype)
    return DisplacementField(grid(turned), values)


OUR_AFFINE = Affine([[1.1, 0.2, 0, 3], [0, 0.9, 0.1, -1e-7], [0.3, 0, 1.05, 1e6 / 3], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", ["t.tfm", "t.txt", "t.mat", "t.h5", "TransformParameters.0.txt"])
@pytest.mark.parametrize("frame", ["LPS", "RAS"])
def test_an_affine_is_written_for_others_and_comes_back(
    tmp_path: Path, name: str, frame: Any
) -> None:
    path = tmp_path / name
    write_transform(Chain(OUR_AFFINE, OUR_AFFINE.inverse(), OUR_AFFINE), path, frame=frame)
    back = read_transform(path, frame).transform
    assert isinstance(back, Affine)
    np.testing.assert_allclose(back.matrix, OUR_AFFINE.matrix, rtol=1e-12, atol=1e-7)
    if "Parameters" not in name:
        other = sitk.ReadTransform(str(path))
        found = ours(OUR_AFFINE, POINTS_MM, 3, frame)
        np.testing.assert_allclose(found, applied(other, POINTS_MM, frame), rtol=0, atol=AFFINE_UM)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("ending", [".h5", ".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_field_is_written_for_others_and_comes_back(
    tmp_path: Path, ending: str, turned: bool
) -> None:
    """SimpleITK applies the file to within the rounding of NIfTI's float32 geometry."""
    transform = our_field(turned)
    path = tmp_path / f"1Warp{ending}"
    write_transform(transform, path)
    index = np.random.default_rng(5).uniform(0, 1, (200, 3)) * np.array([5, 6, 7])
    points = transform.grid.to_world(index)
    want = transform.map(points)
    if ending == ".h5":
        other = sitk.ReadTransform(str(path))
    else:
        image = sitk.ReadImage(str(path))
        assert image.GetNumberOfComponentsPerPixel() == 3
        other = sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64))
    found = applied(other, points_to_millimetres(points, "LPS"))
    nifti = ".nii" in ending
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-3 if nifti else 1e-6)
    read = read_transform(path)
    assert isinstance(read.transform, DisplacementField)
    np.testing.assert_allclose(read.transform.map(points), want, rtol=0, atol=1e-3)


def test_a_chain_is_written_as_a_composite(tmp_path: Path) -> None:
    field = our_field(turned=True)
    chain = Chain(OUR_AFFINE.inverse(), field, OUR_AFFINE)
    write_transform(chain, tmp_path / "t.h5")
    index = np.random.default_rng(5).uniform(0, 1, (100, 3)) * np.array([5, 6, 7])
    points = OUR_AFFINE.map(field.grid.to_world(index))
    other = sitk.ReadTransform(str(tmp_path / "t.h5"))
    found = applied(other, points_to_millimetres(points, "LPS"))
    np.testing.assert_allclose(found, chain.map(points), rtol=0, atol=1e-5)
    again = read_transform(tmp_path / "t.h5").transform
    np.testing.assert_allclose(again.map(points), chain.map(points), rtol=0, atol=1e-5)


def test_nifti_says_whether_its_vectors_are_lps_or_ras(tmp_path: Path) -> None:
    """Intent 1006 (displacements) is RAS by the standard, 1007 (vectors) is ITK's LPS."""
    write_transform(our_field(turned=False), tmp_path / "t.nii")
    raw = bytearray((tmp_path / "t.nii").read_bytes())
    assert struct.unpack_from("<h", raw, 68) == (1007,)
    struct.pack_into("<h", raw, 68, 1006)
    (tmp_path / "r.nii").write_bytes(raw)
    lps = read_transform(tmp_path / "t.nii").transform
    ras = read_transform(tmp_path / "r.nii").transform
    assert isinstance(lps, DisplacementField)
    assert isinstance(ras, DisplacementField)
    sign = np.array([1, -1, -1])[:, None, None, None]
    np.testing.assert_array_equal(ras.displacement_um, sign * lps.displacement_um)


def test_an_image_is_no_displacement_field(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image(5, 6, 7, sitk.sitkFloat32), str(tmp_path / "i.nii.gz"))
    with pytest.raises(ReadError, match="no transform that is read here"):
        read_transform(tmp_path / "i.nii.gz")


def elastix_text(**changes: str) -> str:
    values = {
        "Transform": '"EulerTransform"',
        "NumberOfParameters": "6",
        "TransformParameters": "0.1 0.2 0.3 0.4 0.5 0.6",
        "InitialTransformParametersFileName": '"NoInitialTransform"',
        "HowToCombineTransforms": '"Compose"',
        "FixedImageDimension": "3",
        "MovingImageDimension": "3",
        "CenterOfRotationPoint": "1.5 -0.5 0.25",
        "ComputeZYX": '"false"',
    }
    values.update(changes)
    lines = [f"({key} {value})" for key, value in values.items() if value]
    return "// written by elastix\n\n" + "\n".join(lines) + "\n"


ELASTIX: dict[str, tuple[dict[str, str], Callable[[], Any]]] = {
    "euler": ({}, sitk.Euler3DTransform),
    "euler z y x": ({"ComputeZYX": '"true"'}, euler_z_y_x),
    "similarity": (
        {"Transform": '"SimilarityTransform"', "TransformParameters": ".1 .2 .3 .4 .5 .6 1.2"},
        sitk.Similarity3DTransform,
    ),
    "affine": (
        {
            "Transform": '"AffineTransform"',
            "TransformParameters": "1.1 .1 .2 0 .9 .1 .1 0 1.2 3 4 5",
        },
        lambda: sitk.AffineTransform(3),
    ),
    "euler 2-D": (
        {
            "TransformParameters": "0.3 4 5",
            "FixedImageDimension": "2",
            "MovingImageDimension": "2",
            "CenterOfRotationPoint": "1.5 -0.5",
        },
        sitk.Euler2DTransform,
    ),
}


@pytest.mark.parametrize("name", ELASTIX)
def test_elastix_maps_as_itk_maps(tmp_path: Path, name: str) -> None:
    changes, make = ELASTIX[name]
    path = tmp_path / "TransformParameters.0.txt"
    path.write_text(elastix_text(**changes))
    transform = make()
    d = transform.GetDimension()
    stated = changes.get("TransformParameters", "0.1 0.2 0.3 0.4 0.5 0.6")
    transform.SetCenter([1.5, -0.5, 0.25][:d])
    transform.SetParameters([float(v) for v in stated.split()])
    found = ours(read_transform(path).transform, POINTS_MM, d)
    np.testing.assert_allclose(found, applied(transform, POINTS_MM), rtol=0, atol=AFFINE_UM)


def test_elastix_starts_from_a_file_beside_it(tmp_path: Path) -> None:
    first = elastix_text()
    then = elastix_text(
        Transform='"TranslationTransform"',
        TransformParameters="1 2 3",
        InitialTransformParametersFileName='"/gone/with/TransformParameters.0.txt"',
    )
    (tmp_path / "TransformParameters.0.txt").write_text(first)
    (tmp_path / "TransformParameters.1.txt").write_text(then)
    read = read_transform(tmp_path / "TransformParameters.1.txt")
    assert any("from its own folder" in w for w in read.warnings)
    initial = sitk.Euler3DTransform((1.5, -0.5, 0.25), 0.1, 0.2, 0.3, (0.4, 0.5, 0.6))
    both = sitk.CompositeTransform([sitk.TranslationTransform(3, (1, 2, 3)), initial])
    found = ours(read.transform, POINTS_MM, 3)
    np.testing.assert_allclose(found, applied(both, POINTS_MM), rtol=0, atol=AFFINE_UM)
    added = then.replace('"Compose"', '"Add"')
    (tmp_path / "TransformParameters.1.txt").write_text(added)
    found = ours(read_transform(tmp_path / "TransformParameters.1.txt").transform, POINTS_MM, 3)
    want = applied(initial, POINTS_MM) + points_from_millimetres([[1, 2, 3]], "LPS")
    np.testing.assert_allclose(found, want, rtol=0, atol=AFFINE_UM)


def test_elastix_splines_are_itk_splines(tmp_path: Path) -> None:
    domain = sitk.Image([20, 24, 30], sitk.sitkFloat32)
    domain.SetSpacing([0.1] * 3)
    spline = sitk.BSplineTransformInitializer(domain, [3, 4, 5])
    values = np.random.default_rng(1).normal(0, 0.01, len(spline.GetParameters()))
    spline.SetParameters(values.tolist())
    fixed = spline.GetFixedParameters()
    listed = [" ".join(repr(v) for v in fixed[i : i + 3]) for i in (0, 3, 6)]
    text = elastix_text(
        Transform='"BSplineTransform"',
        TransformParameters=" ".join(repr(v) for v in values.tolist()),
        CenterOfRotationPoint="",
        GridSize=listed[0].replace(".0", ""),
        GridOrigin=listed[1],
        GridSpacing=listed[2],
        GridIndex="0 0 0",
        GridDirection="1 0 0 0 1 0 0 0 1",
    )
    (tmp_path / "TransformParameters.0.txt").write_text(text)
    read = read_transform(tmp_path / "TransformParameters.0.txt").transform
    points = np.random.default_rng(2).uniform(0.01, 0.09, (200, 3)) * np.array([20, 24, 30])
    off = np.linalg.norm(ours(read, points, 3) - applied(spline, points), axis=1)
    assert off.max() < 0.1


BAD: dict[str, tuple[str, bytes, str]] = {
    "several": (
        "t.tfm",
        b"#Insight Transform File V1.0\nTransform: TranslationTransform_double_3_3\n"
        b"Parameters: 1 2 3\nTransform: TranslationTransform_double_3_3\nParameters: 1 2 3\n",
        "2 transforms without saying",
    ),
    "kernel": (
        "t.tfm",
        b"#Insight Transform File V1.0\nTransform: ThinPlateSplineKernelTransform_double_3_3\n"
        b"Parameters: 1 2 3\nFixedParameters: 1 2 3\n",
        "ThinPlateSplineKernelTransform is not read",
    ),
    "not finite": (
        "t.tfm",
        b"#Insight Transform File V1.0\nTransform: TranslationTransform_double_3_3\n"
        b"Parameters: nan 2 3\n",
        "not finite",
    ),
    "flat matrix": (
        "t.tfm",
        b"#Insight Transform File V1.0\nTransform: ScaleTransform_double_3_3\n"
        b"Parameters: 0 2 3\nFixedParameters: 0 0 0\n",
        "zero along an axis",
    ),
    "too many vectors": (
        "t.tfm",
        b"#Insight Transform File V1.0\nTransform: DisplacementFieldTransform_double_3_3\n"
        b"Parameters: 1 2 3\nFixedParameters: 10000 10000 10000 0 0 0 1 1 1 1 0 0 0 1 0 0 0 1\n",
        "more than are read",
    ),
    "lying mat": (
        "t.mat",
        struct.pack("<5i", 0, 2**30, 1, 0, 27) + b"AffineTransform_double_3_3\0" + bytes(8),
        "impossible sizes",
    ),
    "circle": (
        "TransformParameters.0.txt",
        elastix_text(InitialTransformParametersFileName='"TransformParameters.0.txt"').encode(),
        "circle",
    ),
    "gone": (
        "TransformParameters.0.txt",
        elastix_text(InitialTransformParametersFileName='"../secret.txt"').encode(),
        "not beside it",
    ),
    "hdf5 of others": ("t.h5", b"\x89HDF\r\n\x1a\n" + bytes(100), "damaged"),
    "empty": ("t.tfm", b"", "JSON"),
    "noise": ("t.tfm", b"\x01\x02\x03" * 50, "no transform that is read here"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_transform_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    file, content, said = BAD[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ReadError, match=said) as caught:
        read_transform(tmp_path / file)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / file) in str(caught.value)


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    bent = ThinPlateSpline(
        np.zeros((1, 3)), np.zeros((1, 3)), np.ones((1, 3)), np.eye(3, 4), np.zeros(3), 1.0
    )
    for name in ("t.tfm", "t.mat", "TransformParameters.txt", "t.h5", "t.nii.gz", "t.ome.zarr"):
        with pytest.raises(WriteError, match="this format holds"):
            write_transform(bent, tmp_path / name)
    with pytest.raises(WriteError, match="which transform format"):
        write_transform(OUR_AFFINE, tmp_path / "t.doc")
    assert not list(tmp_path.iterdir())
