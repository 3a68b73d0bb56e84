"""Parameter files of ParaVision: JCAMP-DX as Bruker writes it. Knows no parameter's meaning.

    ##$VisuCoreSize=( 2 )
    192 192
    ##$VisuFGOrderDesc=( 1 )
    (5, <FG_SLICE>, <>, 0, 2)
    ##$VisuCoreUnits=( 2, 65 )
    <mm> <mm>

A record begins at a line that starts with ``##``; ``$$`` begins a comment. Sizes in brackets come
before arrays, ``@4*(0)`` stands for four zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...errors import ReadError, one_line

_LARGEST_BYTES = 64 * 2**20
_MOST_VALUES = 10**7
_LONGEST_FAULT = 200
_COPY_AGAIN = "copy the whole folder again"

_RECORD = re.compile(r"##\$?([A-Za-z_][A-Za-z0-9_ -]*)=")
_SIZE = re.compile(r"\(([^()<>]*)\)[ \t]*\r?(?:\n|$)")
_TOKEN = re.compile(
    r"<(?P<text>[^<>]*)>"
    r"|@(?P<times>[0-9]{1,9})\*\((?P<value>[^()<>]*)\)"
    r"|(?P<open>\()|(?P<close>\))"
    r"|(?P<word>[^\s,()<>]+)"
)

Struct = tuple[str, ...]


@dataclass(frozen=True)
class Parameters:
    """The records of a file by name, still as text.

    Parameters
    ----------
    path : Path
        The file, for errors.
    records : dict
        Text behind the equals sign, without comments.
    """

    path: Path
    records: dict[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.records

    def words(self, name: str) -> tuple[str, ...]:
        """Values of a parameter; nothing where it is missing.

        Raises
        ------
        ReadError
            If there are absurdly many.
        """
        return tuple(self._values(name))

    def text(self, name: str) -> str:
        """The first value, or ""."""
        return next(self._values(name), "")

    def numbers(self, name: str) -> tuple[float, ...]:
        """Values of a parameter of numbers; nothing where it is missing.

        Raises
        ------
        ReadError
            If one is no number.
        """
        try:
            return tuple(float(word) for word in self._values(name))
        except ValueError as error:
            raise self.fault(f"{name} is no number ({one_line(error)})") from error

    def whole_numbers(self, name: str) -> tuple[int, ...]:
        """Values of a parameter of whole numbers (see :meth:`numbers`)."""
        numbers = self.numbers(name)
        if not all(abs(number) < 2**53 and number == int(number) for number in numbers):
            raise self.fault(f"{name} is no whole number")
        return tuple(int(number) for number in numbers)

    def structs(self, name: str) -> tuple[Struct, ...]:
        """Values that stand in brackets: ``(5, <FG_SLICE>, <>, 0, 2)`` and the like."""
        found: list[Struct] = []
        current: list[str] | None = None
        for match in _TOKEN.finditer(self._body(name)):
            if match["open"]:
                current = []
            elif match["close"]:
                if current is not None:
                    found.append(tuple(current))
                current = None
            elif current is not None:
                current.append(match["text"] if match["text"] is not None else match[0])
        return tuple(found)

    def fault(self, what: str) -> ReadError:
        """An error about this file."""
        if len(what) > _LONGEST_FAULT:
            what = what[:_LONGEST_FAULT] + "..."
        return ReadError(self.path, f"is damaged: {what}", _COPY_AGAIN)

    def _body(self, name: str) -> str:
        """The text of a record without its size."""
        text = self.records.get(name, "")
        size = _SIZE.match(text.lstrip(" \t"))
        # "(5, 2)" alone is a value: only what follows a size makes it one
        if size and text.lstrip(" \t")[size.end() :].strip():
            return text.lstrip(" \t")[size.end() :]
        return text

    def _values(self, name: str) -> Iterator[str]:
        n_values = 0
        for match in _TOKEN.finditer(self._body(name)):
            times, word = 1, match["word"]
            if match["text"] is not None:
                word = match["text"]
            elif match["times"]:
                times, word = int(match["times"]), match["value"].strip()
            if word is None:
                continue
            n_values += times
            if n_values > _MOST_VALUES:
                raise self.fault(f"{name} has too many values")
            for _ in range(times):
                yield word


def read_parameters(path: Path) -> Parameters:
    """Read a parameter file.

    Raises
    ------
    ReadError
        If it is missing, too large or no parameter file.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ReadError(path, f"cannot be read ({one_line(error)})", _COPY_AGAIN) from error
    if len(content) > _LARGEST_BYTES:
        raise ReadError(path, "is too large for a parameter file", _COPY_AGAIN)
    text = content.decode("utf-8", "replace")
    if not text.lstrip().startswith("##"):
        raise ReadError(path, "is no parameter file of ParaVision", _COPY_AGAIN)
    records: dict[str, str] = {}
    is_over = False
    for part in re.split(r"^(?=##)", text, flags=re.MULTILINE):
        if part.startswith("##END"):
            is_over = True
            break
        match = _RECORD.match(part)
        if match is not None:
            body = re.sub(r"^\$\$.*$", "", part[match.end() :], flags=re.MULTILINE)
            records[match[1].strip()] = body.strip()
    if not is_over:
        raise ReadError(path, "is cut short (it has no ##END)", _COPY_AGAIN)
    return Parameters(path, records)
