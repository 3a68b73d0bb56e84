"""What is kept of an interrupted output, when it is gone on with, and who may write it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_bridgecorr.errors import WriteError
from napari_bridgecorr.io.unfinished import JOURNAL, LOCK, resumable, unfinished_folder

WORK = {"image": {"bytes": 5}, "grid": [1, 2, 3]}


class Interrupted(Exception):
    pass


def write(path: Path, work: dict, pieces: dict[str, str], told: list[str], **options) -> list[str]:
    """Write the pieces that are not done; "!" interrupts. Returns those that were written."""
    written = []
    with resumable(path, work, told.append, **options) as unfinished:
        (unfinished.folder / "zarr.json").write_text("{}")
        for name, content in pieces.items():
            if name in unfinished.done:
                continue
            if content == "!":
                raise Interrupted
            file = unfinished.folder / "0" / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(content)
            unfinished.record(name, [file])
            written.append(name)
    return written


def interrupt(path: Path, told: list[str], work: dict = WORK) -> None:
    with pytest.raises(Interrupted):
        write(path, work, {"a": "one", "b": "two", "c": "!"}, told)
    assert not path.exists()


def test_an_interrupted_run_goes_on_and_leaves_nothing_but_the_output(tmp_path):
    path, told = tmp_path / "out.ome.zarr", []
    interrupt(path, told)
    (line,) = told
    assert "what is finished is kept in" in line
    assert str(unfinished_folder(path)) in line
    assert write(path, WORK, {"a": "x", "b": "x", "c": "three"}, told) == ["c"]
    assert told[1] == "going on from an earlier run: 2 blocks are finished"
    found = {p.name: p.read_text() for p in path.rglob("*") if p.is_file()}
    assert found == {"zarr.json": "{}", "a": "one", "b": "two", "c": "three"}
    assert list(tmp_path.iterdir()) == [path]


def test_another_work_starts_over_and_names_what_differs(tmp_path):
    path, told = tmp_path / "out.ome.zarr", []
    interrupt(path, told)
    other = {**WORK, "grid": [1, 2, 4]}
    assert write(path, other, {"a": "1", "b": "2"}, told) == ["a", "b"]
    assert told[1] == "starting over: grid differs from the earlier run's"
    assert (path / "0" / "a").read_text() == "1"


def test_restart_drops_what_is_finished(tmp_path):
    path, told = tmp_path / "out.ome.zarr", []
    interrupt(path, told)
    assert write(path, WORK, {"a": "1", "b": "2"}, told, fresh=True) == ["a", "b"]
    assert told[1] == "starting over, as asked"


def test_strange_and_damaged_files_are_made_again(tmp_path):
    path, told = tmp_path / "out.ome.zarr", []
    interrupt(path, told)
    (folder,) = (p for p in unfinished_folder(path).iterdir() if p.is_dir())
    (folder / "0" / "c").write_text("half of")
    (folder / "0" / "c.123.partial").write_text("half of")
    (folder / "0" / "b").write_text("shorter or longer")
    assert write(path, WORK, {"a": "x", "b": "two", "c": "three"}, told) == ["b", "c"]
    assert "1 blocks are finished, 1 must be done again" in told[1]
    assert sorted(p.name for p in (path / "0").iterdir()) == ["a", "b", "c"]


def test_a_line_that_was_being_written_does_not_count(tmp_path):
    path, told = tmp_path / "out.ome.zarr", []
    interrupt(path, told)
    journal = unfinished_folder(path) / JOURNAL
    journal.write_text(journal.read_text()[:-20])
    assert write(path, WORK, {"a": "x", "b": "two"}, told) == ["b"]


@pytest.mark.parametrize("content", ["", "no JSON\n", "[]\n", '{"format": "other"}\n', "\0\0\n"])
def test_a_damaged_journal_starts_over(tmp_path, content):
    path, told = tmp_path / "out.ome.zarr", []
    interrupt(path, told)
    (unfinished_folder(path) / JOURNAL).write_text(content)
    assert write(path, WORK, {"a": "1", "b": "2"}, told) == ["a", "b"]
    assert told[1] == "starting over: the journal of the earlier run is damaged"


def test_two_runs_at_once_are_refused(tmp_path):
    path = tmp_path / "out.ome.zarr"
    with resumable(path, WORK, print) as unfinished:
        with (
            pytest.raises(WriteError, match=rf"another run is writing it \(process {os.getpid()} "),
            resumable(path, WORK, print),
        ):
            pass
        (unfinished.folder / "zarr.json").write_text("{}")
    assert path.exists()


def test_a_dead_process_holds_no_lock(tmp_path):
    path, told = tmp_path / "out.ome.zarr", []
    program = (
        "import os, pathlib, sys\n"
        "from napari_bridgecorr.io.unfinished import resumable\n"
        "with resumable(pathlib.Path(sys.argv[1]), {}, print):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=60)
    assert killed.returncode == -9
    assert (unfinished_folder(path) / LOCK).exists()
    assert write(path, WORK, {"a": "1"}, told) == ["a"]
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_kept_where_nothing_was_finished(tmp_path):
    path, told = tmp_path / "out.ome.zarr", []
    with pytest.raises(Interrupted):
        write(path, WORK, {"a": "!"}, told)
    assert list(tmp_path.iterdir()) == []
    assert told == []


def test_somebodys_documents_are_not_replaced(tmp_path):
    path, told = tmp_path / "out.ome.zarr", []
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")
    with pytest.raises(WriteError, match="something else of this name exists"):
        write(path, WORK, {"a": "1"}, told)
    assert (path / "thesis.txt").read_text() == "years of work"


def test_a_full_disk_is_one_line_that_tells_what_is_kept(tmp_path):
    path, told = tmp_path / "out.ome.zarr", []

    def fill_the_disk() -> None:
        with resumable(path, WORK, told.append) as unfinished:
            (unfinished.folder / "a").write_text("one")
            unfinished.record("a", [unfinished.folder / "a"])
            raise OSError(28, "No space left on device")

    with pytest.raises(WriteError, match="No space left on device; check the disk") as caught:
        fill_the_disk()
    assert "what is finished is kept: run the same again to go on" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_journal_states_the_work(tmp_path):
    path = tmp_path / "out.ome.zarr"
    interrupt(path, [])
    lines = (unfinished_folder(path) / JOURNAL).read_text().splitlines()
    header = json.loads(lines[0])
    assert header["work"] == WORK
    assert json.loads(lines[2]) == {"piece": "b", "files": {"0/b": 3}}
