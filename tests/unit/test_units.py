"""Lengths in micrometres."""

import pytest

from napari_bridgecorr.errors import GeometryError
from napari_bridgecorr.units import MICROMETRES_PER_MILLIMETRE, is_length_unit, micrometres_per


@pytest.mark.parametrize(
    ("unit", "um"),
    [
        ("um", 1),
        ("µm", 1),  # micro sign
        ("μm", 1),  # Greek mu
        ("\\u00B5m", 1),
        ("micron", 1),
        ("Microns", 1),
        ("micrometer", 1),
        ("Micrometres", 1),
        (" um ", 1),
        ("nm", 1e-3),
        ("nanometers", 1e-3),
        ("mm", 1000),
        ("MM", 1000),
        ("millimeter", 1000),
        ("cm", 1e4),
        ("centimetres", 1e4),
        ("m", 1e6),
        ("meters", 1e6),
        ("pm", 1e-6),
        ("angstrom", 1e-4),
        ("Angstroms", 1e-4),
        ("Å", 1e-4),
        ("inch", 25400),
        ("inches", 25400),
        ("in", 25400),
    ],
)
def test_known_units(unit: str, um: float) -> None:
    assert micrometres_per(unit) == um
    assert is_length_unit(unit)


# "ms" must not lose its s and become metres
@pytest.mark.parametrize("unit", ["", "s", "ms", "second", "pixel", "px", "um2", "furlong", "1"])
def test_unknown_units(unit: str) -> None:
    assert not is_length_unit(unit)
    with pytest.raises(GeometryError, match="not a length unit"):
        micrometres_per(unit)


def test_no_unit_is_no_length() -> None:
    assert not is_length_unit(None)


def test_millimetre() -> None:
    assert MICROMETRES_PER_MILLIMETRE == 1000
