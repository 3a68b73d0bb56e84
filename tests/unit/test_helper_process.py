"""A process that crashes or hangs costs one file, not the session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from napari_bridgecorr.helper_process import HelperFault, HelperProcess

# answers a file by what its name asks for
CODE = """
import os, time
import numpy as np
from napari_bridgecorr.helper_process import HelperFault, serve
served = []

def answer(path):
    served.append(path.name)
    if path.name == "crash" or path.name == "crash later" and len(served) > 1:
        os.abort()
    if path.name == "hang":
        time.sleep(99)
    if path.name == "large":
        np.ones(2**33, np.uint8)
    if path.name == "fault":
        raise HelperFault("it is\\nbad")
    return served, [np.arange(6.0).reshape(2, 3).T, np.empty((0, 2), "f4")]

serve(answer, 2**32)
"""


@contextmanager
def helper(code: str = CODE) -> Iterator[HelperProcess]:
    process = HelperProcess(code)
    try:
        yield process
    finally:
        process.close()


def test_arrays_and_words_come_back_and_the_process_stays() -> None:
    with helper() as process:
        process.ask(Path("a"), 9)
        said, (full, empty) = process.ask(Path("b"), 9)
    assert said == ["a", "b"]
    np.testing.assert_array_equal(full, np.arange(6.0).reshape(2, 3).T)
    assert (empty.shape, empty.dtype) == ((0, 2), np.float32)


@pytest.mark.parametrize(
    ("name", "said", "left"),
    [
        ("crash", "crashed", ["b"]),
        ("hang", "no answer after 0 s", ["b"]),
        ("fault", "bad", ["a", "fault", "b"]),
        ("large", "memory runs out", ["a", "large", "b"]),
    ],
)
def test_the_next_file_is_answered(name: str, said: str, left: list[str]) -> None:
    with helper() as process:
        process.ask(Path("a"), 9)
        with pytest.raises(HelperFault, match=said):
            process.ask(Path(name), 0.4)
        assert process.ask(Path("b"), 9)[0] == left


def test_a_file_does_not_pay_for_an_earlier_one() -> None:
    with helper() as process:
        process.ask(Path("a"), 9)
        assert process.ask(Path("crash later"), 9)[0] == ["crash later"]


def test_a_process_that_does_not_start_is_said() -> None:
    with helper("raise SystemExit") as process, pytest.raises(HelperFault, match="does not start"):
        process.ask(Path("a"), 9)
