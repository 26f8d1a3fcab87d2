# SPDX-License-Identifier: Apache-2.0
import pytest

from ssma_ros.errors import SsmaError
from ssma_ros.folders import WholeFolder
from ssma_ros.share import share_path


def fill(path, *, text="new", error=None, **options):
    with WholeFolder(path, what="result", **options) as folder:
        (folder / "mark.txt").write_text(text)
        if error is not None:
            raise error


def test_folder_appears_whole_with_its_parents(tmp_path):
    fill(tmp_path / "a" / "b" / "out")
    assert (tmp_path / "a" / "b" / "out" / "mark.txt").read_text() == "new"
    assert [p.name for p in (tmp_path / "a" / "b").iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit()])
def test_nothing_is_left_after_an_error(tmp_path, error):
    with pytest.raises(type(error)):
        fill(tmp_path / "a" / "out", error=error)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_result_is_replaced_only_by_a_whole_one(tmp_path):
    fill(tmp_path / "out", text="old")
    with pytest.raises(SsmaError, match=r"exists already, expected a new name$"):
        fill(tmp_path / "out")
    with pytest.raises(ValueError):
        fill(tmp_path / "out", replace_if="mark.txt", error=ValueError())
    assert (tmp_path / "out" / "mark.txt").read_text() == "old"
    fill(tmp_path / "out", replace_if="mark.txt")
    assert (tmp_path / "out" / "mark.txt").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_may_be_filled_and_other_data_never_replaced(tmp_path):
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty")
    (tmp_path / "file").write_text("data")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("data")
    for name in ("file", "link", "full"):
        with pytest.raises(SsmaError, match="only an earlier result is replaced"):
            fill(tmp_path / name, replace_if="mark.txt")


def test_a_folder_that_came_meanwhile_is_not_overwritten(tmp_path):
    def race():
        with WholeFolder(tmp_path / "out", what="result") as folder:
            (folder / "mark.txt").write_text("mine")
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "theirs").write_text("theirs")

    with pytest.raises(SsmaError, match="exists already"):
        race()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["theirs"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_place_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SsmaError, match=r"result .*: cannot be made \("):
        fill(tmp_path / "file" / "out")


def test_shared_files_are_found_in_the_source_tree_and_in_prefixes(tmp_path, monkeypatch):
    profile = share_path("config", "fastdds.xml")
    assert profile is not None
    assert "segment_size" in profile.read_text()
    assert share_path("no", "such", "file") is None
    (tmp_path / "share" / "ssma_ros" / "own").mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/absent:{tmp_path}")
    assert share_path("own") == tmp_path / "share" / "ssma_ros" / "own"
