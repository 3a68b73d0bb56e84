"""The one place that converts lengths. Inside the project a length is in micrometres."""

from __future__ import annotations

from .errors import GeometryError

_MICROMETRES_PER_UNIT = {
    "m": 1e6,
    "cm": 1e4,
    "mm": 1e3,
    "um": 1.0,
    "nm": 1e-3,
    "pm": 1e-6,
    "angstrom": 1e-4,
    "inch": 25_400.0,
}

_UNIT_ALIASES = {
    "meter": "m",
    "metre": "m",
    "centimeter": "cm",
    "centimetre": "cm",
    "millimeter": "mm",
    "millimetre": "mm",
    "micrometer": "um",
    "micrometre": "um",
    "micron": "um",
    "microns": "um",
    "µm": "um",  # micro sign
    "μm": "um",  # Greek mu
    "\\u00b5m": "um",  # as ImageJ escapes it
    "nanometer": "nm",
    "nanometre": "nm",
    "picometer": "pm",
    "picometre": "pm",
    "å": "angstrom",
    "angstroms": "angstrom",
    "in": "inch",
    "inches": "inch",
}

MICROMETRES_PER_MILLIMETRE = _MICROMETRES_PER_UNIT["mm"]


def micrometres_per(unit: str) -> float:
    """Length of one `unit` in micrometres.

    Parameters
    ----------
    unit : str
        A symbol or English name, singular or plural, of any case but for the symbols themselves.

    Raises
    ------
    GeometryError
        If the unit is not a known length.
    """
    name = unit.strip()
    if name not in _MICROMETRES_PER_UNIT:
        lower = name.lower()
        name = _UNIT_ALIASES.get(lower, _UNIT_ALIASES.get(lower.removesuffix("s"), lower))
    if name not in _MICROMETRES_PER_UNIT:
        raise GeometryError(
            f"{unit!r} is not a length unit known here; use um, mm, nm or another metric unit"
        )
    return _MICROMETRES_PER_UNIT[name]


def is_length_unit(unit: str | None) -> bool:
    """Whether `unit` names a length that :func:`micrometres_per` converts."""
    if not unit:
        return False
    try:
        micrometres_per(unit)
    except GeometryError:
        return False
    return True
