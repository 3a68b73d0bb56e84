"""The written page: parsed, its pictures decoded, its numbers compared with their sources."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from imagecodecs import png_decode
from report_samples import image, make_contents

from napari_bridgecorr.errors import Cancelled, GeometryError, WriteError
from napari_bridgecorr.geometry import Grid
from napari_bridgecorr.report import ReportContents, write_report
from napari_bridgecorr.report.key_figures import plain
from napari_bridgecorr.report.table_view import density_view, error_map, table_grid
from napari_bridgecorr.transform import Affine

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Figures, texts and every address of a page; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.figures: dict[str, np.ndarray] = {}
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.text = io.StringIO()
        self._open: list[str] = []
        self._figure = ""
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        if tag == "figure":
            self._figure = values["id"]
        self.addresses += [values[k] for k in ("src", "href", "action", "data") if k in values]
        if tag == "img":
            assert values["alt"]
            encoded = values["src"].removeprefix("data:image/png;base64,")
            self.figures[self._figure] = png_decode(base64.b64decode(encoded, validate=True))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.write(f"{data}\n")


def written(contents, folder) -> tuple[Page, str]:
    path = folder / "report.html"
    write_report(contents, path)
    assert [p.name for p in folder.iterdir()] == ["report.html"]
    text = path.read_text(encoding="utf-8")
    return Page(text), text


@pytest.fixture(scope="module")
def page(contents, tmp_path_factory):
    return written(contents, tmp_path_factory.mktemp("report"))


def test_every_figure_is_a_picture(page):
    assert list(page[0].figures) == [
        "slices",
        "landmark-arrows",
        "leave-one-out",
        "density",
        "error",
    ]
    for name, pixels in page[0].figures.items():
        assert pixels.shape[1] > 900, name
        assert len(np.unique(pixels[..., :3].astype(np.int32) @ [65536, 256, 1])) > 50, name


def test_nothing_comes_from_outside(page):
    parsed, text = page
    assert all(a.startswith("data:image/png;base64,") for a in parsed.addresses)
    for forbidden in ("http:", "https:", "//cdn", "@import", "url(", "<link"):
        assert forbidden not in text
    assert "script" not in parsed.tags


def test_names_are_text(page):
    parsed, _ = page
    assert "b" not in parsed.tags
    shown = parsed.text.getvalue()
    assert "Mouse & <script>alert(1)</script>" in shown
    assert "the lens <b>was</b> warm" in shown
    assert "a<b>.csv" in shown


def test_numbers_equal_the_diagnostics(page, contents):
    shown = page[0].text.getvalue()
    d = contents.fit.diagnostics
    assert f"{plain(d.loo_rms_um)} µm\n" in shown
    assert f"RMS; median {plain(d.loo_median_um)} µm\n" in shown
    assert f"residual RMS {plain(d.residual_rms_um)} µm" in shown
    assert f"{contents.fit.smoothing_um:.3g} µm\n" in shown
    covered = contents.table["GFP_coverage"] > 0.5
    median = np.median(contents.table["registration_error_um"][covered].astype(float))
    assert f"{plain(median)} µm\n" in shown
    truth = contents.truth_errors_um
    assert f"{plain(np.median(truth))} µm\n" in shown
    assert f"95 % below {plain(np.percentile(truth, 95))} µm" in shown
    assert f"\n{8 * 16 * 16:,}\n" in shown
    assert "no folds" in shown
    for i, name in enumerate(d.ids):
        row = f"{name}\n{plain(np.linalg.norm(d.residual_um[i]))}\n"
        assert row + plain(d.leave_one_out_lengths_um[i]) in shown


def test_what_is_not_known_is_left_out(tmp_path, contents):
    given = replace(contents, fit=None, table=None, n_rows=None, truth_errors_um=None)
    parsed, _ = written(given, tmp_path)
    assert list(parsed.figures) == ["slices"]
    shown = parsed.text.getvalue()
    assert "thin plate spline" in shown
    assert "no folds" in shown
    assert "leave-one-out error\n" in shown  # in the glossary only
    assert "nan" not in shown.split()


def test_too_few_covered_rows_are_explained(tmp_path, contents):
    table = dict(contents.table)
    table["GFP_coverage"] = np.zeros_like(table["GFP_coverage"])
    parsed, _ = written(replace(contents, table=table, fit=None), tmp_path)
    assert list(parsed.figures) == ["slices"]
    assert "No figure for GFP: fewer than 5 rows" in parsed.text.getvalue()
    assert "No predicted error" in parsed.text.getvalue()


def test_many_landmarks(tmp_path):
    parsed, _ = written(make_contents(n=200, with_table=False), tmp_path)
    assert list(parsed.figures) == ["slices", "landmark-arrows", "leave-one-out"]
    assert "Of 200 landmarks the 10 worst are named" in parsed.text.getvalue()


def test_names_that_fonts_and_formulas_stumble_over(tmp_path):
    made = replace(make_contents(names=("$T_2$ 脳", "<script>")), fit=None, truth_errors_um=None)
    parsed, _ = written(made, tmp_path)
    assert list(parsed.figures) == ["slices", "density", "error"]
    assert "script" not in parsed.tags
    assert "$T_2$ 脳" in parsed.text.getvalue()


@pytest.mark.parametrize("model", ["translation", "rigid", "affine"])
def test_each_model_has_a_page(tmp_path, model):
    made = make_contents(model=model, n=4 if model == "affine" else 5, with_table=False)
    parsed, _ = written(made, tmp_path)
    assert model in parsed.text.getvalue()
    assert list(parsed.figures)[:3] == ["slices", "landmark-arrows", "leave-one-out"]
    assert "smoothing λ" not in parsed.text.getvalue()


def test_images_that_do_not_meet(tmp_path, contents):
    away = np.eye(4)
    away[0, 3] = 1e6
    parsed, _ = written(replace(contents, transform=Affine(away), table=None, fit=None), tmp_path)
    assert "does not meet the fixed image anywhere" in parsed.text.getvalue()


def test_flat_images(tmp_path):
    data = np.random.default_rng(0).random((1, 1, 60, 80)).astype(np.float32)
    flat = image(data, Grid.from_spacing((1, 60, 80), 2.0), "slide.tif")
    parsed, _ = written(ReportContents("2-D", flat, flat, Affine.identity()), tmp_path)
    assert list(parsed.figures) == ["slices"]
    height, width = parsed.figures["slices"].shape[:2]
    assert height < 0.4 * width  # one row of four panels


def test_the_same_contents_give_the_same_page(tmp_path, contents):
    bare = replace(contents, table=None, n_rows=None, truth_errors_um=None)
    pages = []
    for name in ("one", "two"):
        write_report(bare, tmp_path / name)
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]


def test_cancelling_leaves_nothing(tmp_path, contents):
    class Impatient:
        def begin(self, task, total):
            assert task
            assert total > 0

        def advance(self, steps=1):  # noqa: ARG002
            raise Cancelled

    with pytest.raises(Cancelled):
        write_report(contents, tmp_path / "a.html", Impatient())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_said(tmp_path, contents):
    bare = replace(contents, fit=None, table=None, truth_errors_um=None)
    with pytest.raises(WriteError, match="folder does not exist"):
        write_report(bare, tmp_path / "nowhere" / "a.html")


def test_columns_must_exist(contents):
    with pytest.raises(GeometryError, match="no column 'RFP'"):
        replace(contents, moving_columns=("RFP",))


def test_the_microscope_is_the_density_side(contents):
    view = density_view(contents, contents.table)
    assert [name for name, _ in view.comparisons] == ["GFP"]
    assert view.intensity_name == "T2w"
    chosen = contents.table["GFP_coverage"] > 0.99
    np.testing.assert_array_equal(view.comparisons[0][1].intensity, contents.table["T2w"][chosen])


def test_the_map_is_a_plane_of_the_table(contents):
    shown = error_map(contents, contents.table)
    error = contents.table["registration_error_um"].reshape(8, 16, 16)[shown.iz]
    known = np.isfinite(shown.values_um)
    assert known.sum() > 50
    np.testing.assert_array_equal(shown.values_um[known], error[known].astype(float))
    assert shown.pixel_um == pytest.approx((50, 50))
    expected = contents.fixed.grid.to_index(contents.fit.pairs.fixed_um)[:, 1:]
    np.testing.assert_allclose(shown.landmarks_px, expected, atol=1e-9)


def test_a_part_of_a_table_has_no_map(contents):
    part = {k: v[::2] for k, v in contents.table.items()}
    assert table_grid(contents.fixed.grid, part) is None
    assert error_map(contents, part) is None


def test_many_warnings_are_folded(tmp_path, contents):
    warned = replace(contents.fixed, warnings=tuple(f"warning {i}" for i in range(30)))
    bare = replace(contents, fixed=warned, fit=None, table=None, truth_errors_um=None)
    parsed, _ = written(bare, tmp_path)
    shown = parsed.text.getvalue()
    assert "31 warnings" in shown
    assert "25 more" in shown
    assert shown.count("mouse.nii.gz: warning") == 30
