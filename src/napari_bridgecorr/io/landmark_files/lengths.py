"""Lengths between a file's unit and um, rounded once.

``float(text) * 1000`` and ``um / 1000`` round twice, and a coordinate would not come back as it
was. Here the product is taken of the decimal numbers in the text.
"""

from __future__ import annotations

from decimal import Context, Decimal
from functools import lru_cache

from ...units import micrometres_per

# 17 digits tell every float64; three more keep an inch's quotient apart
_CONTEXT = Context(prec=40)


@lru_cache(maxsize=32)
def _factor(unit: str) -> Decimal:
    return Decimal(repr(micrometres_per(unit)))


def um_from_text(number: str, unit: str) -> float:
    """Length in um of a finite decimal number in `unit` (infinite if it is too large).

    Raises
    ------
    GeometryError
        If `unit` is not a length.
    """
    factor = _factor(unit)
    if factor == 1:
        return float(number)
    try:
        return float(_CONTEXT.multiply(Decimal(number), factor))
    except ArithmeticError:  # exponents that no length has, and that a float takes all the same
        return float(number) * float(factor)


def text_from_um(length_um: float, unit: str) -> str:
    """Decimal number in `unit` that :func:`um_from_text` takes back to `length_um` exactly.

    Raises
    ------
    GeometryError
        If `unit` is not a length.
    """
    factor = _factor(unit)
    if factor == 1:
        return repr(float(length_um))
    quotient = _CONTEXT.divide(Decimal(repr(float(length_um))), factor)
    short = quotient.normalize(_CONTEXT)
    exponent = short.adjusted()
    return f"{short:f}" if -7 <= exponent <= 20 else f"{short:E}".replace("E", "e")
