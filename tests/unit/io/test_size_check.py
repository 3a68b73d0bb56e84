"""Which sizes are doubted, and that good ones are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.io.nifti import NiftiReader
from napari_bridgecorr.io.size_check import doubt_of_size, said_of_size


@pytest.mark.parametrize(
    ("shape", "spacing_um", "kind", "factor"),
    [
        ((80, 128, 112), (150, 150, 150), None, None),  # a mouse in vivo
        ((20, 256, 256), (1000, 80, 80), None, None),  # thick slices of a rat
        ((528, 320, 456), (25, 25, 25), None, None),  # the Allen atlas
        ((400, 1024, 1024), (1, 0.3, 0.3), None, None),  # a two-photon stack
        ((1, 20000, 30000), (1, 0.65, 0.65), None, None),  # a slide
        ((1, 1, 1), (1, 1, 1), None, None),
        ((1000, 256, 256), (2000, 2000, 2000), None, None),  # a whole body
        ((25, 41, 33), (2000, 2000, 2000), "human-sized", 10),
        ((80, 128, 112), (1500, 1500, 1500), "human-sized", 10),
        ((182, 218, 182), (1000, 1000, 1000), "human-sized", 10),
        ((80, 128, 112), (14e3, 14e3, 14e3), "too large", 100),
        ((80, 128, 112), (14e4, 14e4, 14e4), "too large", 1000),
        ((80, 128, 112), (14e7, 14e7, 14e7), "too large", 1e6),
        ((3, 9, 9), (53e3, 53e3, 53e3), "too large", 10),
        ((30, 256, 256), (53e3, 100, 100), "too large", 100),
        ((80, 128, 112), (0.14, 0.14, 0.14), "too small", 1e-3),
        ((60, 256, 256), (7000, 70, 70), "uneven", None),
    ],
)
def test_doubts(
    shape: tuple[int, int, int],
    spacing_um: tuple[float, float, float],
    kind: str | None,
    factor: float | None,
) -> None:
    doubt = doubt_of_size(Grid.from_spacing(shape, spacing_um))
    if kind is None:
        assert doubt is None
        return
    assert doubt is not None
    assert (doubt.kind, doubt.factor) == (kind, pytest.approx(factor) if factor else None)
    if factor:
        assert doubt.suggested_spacing_um == pytest.approx(np.divide(spacing_um, factor))
    # what is suggested is not doubted again
    if doubt.suggested_spacing_um and kind != "uneven" and shape[0] > 20:
        again = doubt_of_size(Grid.from_spacing(shape, doubt.suggested_spacing_um))
        assert again is None or spacing_um[0] != spacing_um[1]


def test_orientation_does_not_matter() -> None:
    matrix = np.eye(4)
    matrix[:3, :3] = 1500 * np.array([[0, -0.6, 0.8], [0, 0.8, 0.6], [1, 0, 0]])
    doubt = doubt_of_size(Grid((80, 128, 112), matrix))
    assert doubt is not None
    assert doubt.suggested_spacing_um == pytest.approx((150, 150, 150))


def test_a_doubt_is_one_line_with_its_evidence_and_remedy() -> None:
    (warning,), metadata = said_of_size(Grid.from_spacing((80, 128, 112), 14e3))
    assert warning == (
        "doubtful voxel size: by the file the image is 1,120 x 1,792 x 1,568 mm (z, y, x) with "
        "voxels of 14 x 14 x 14 mm; a mouse brain is about 8 x 15 x 11 mm. The sizes look 100 "
        "times too large: state the true voxel size in um with --spacing 140,140,140"
    )
    assert metadata["spacing_suspect"]["suggested_spacing_um"] == (140, 140, 140)


def test_real_mice_are_believed_and_heads_are_asked_about(real_data: Path) -> None:
    for path in sorted(real_data.glob("mouse_mri/*/*.nii.gz")):
        (image,) = NiftiReader().read(path)
        assert image.warnings == ()
    (head,) = NiftiReader().read(real_data / "nifti" / "someones_anatomy.nii.gz")
    assert any("as large as a human head" in w for w in head.warnings)
