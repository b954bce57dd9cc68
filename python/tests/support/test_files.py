"""A file is replaced as a whole or not at all."""

from __future__ import annotations

import gzip
import os

import pytest

from deepscore.errors import InputError
from deepscore.support import files
from deepscore.support.files import opened, replacing, require_file, require_writable, reserve


def test_the_old_file_is_there_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with replacing(str(path)) as temporary:
            temporary.write_text("ha")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_permissions_and_links_stay(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "link").symlink_to("file")
    with replacing(tmp_path / "link") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "to_nothing").symlink_to("nothing")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path / "to_nothing", tmp_path, "a\0b"):
        with pytest.raises((OSError, ValueError)), replacing(path):
            pass
        with pytest.raises(InputError) as caught:
            require_writable(path)
        assert caught.value.code == "path_not_writable"
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "to_nothing").is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe", "to_nothing"]


def test_the_new_file_is_on_disk_before_it_takes_the_place_of_the_old_one(tmp_path, monkeypatch):
    path, done = tmp_path / "file", []
    path.write_text("old")
    synced, replaced = os.fsync, os.replace

    def fsync(file):
        done.append(("on disk", os.fstat(file).st_ino, os.fstat(file).st_size))
        synced(file)

    def replace(source, target):
        done.append(("in place", os.stat(source).st_ino, os.stat(source).st_size))
        replaced(source, target)

    monkeypatch.setattr("os.fsync", fsync)
    monkeypatch.setattr("os.replace", replace)
    with replacing(path) as temporary:
        temporary.write_text("newer")
    inode = path.stat().st_ino
    assert done == [("on disk", inode, 5), ("in place", inode, 5)]


def test_a_file_that_cannot_be_read_is_told_with_the_reason(tmp_path, monkeypatch):
    def refused(*args):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "file").touch()
    monkeypatch.setattr("pathlib.Path.open", refused)
    for name, why in (("none", "There is no file"), ("a" * 300, "name too long"), ("file", "Permission denied")):
        with pytest.raises(InputError, match=why) as caught:
            require_file(tmp_path / name)
        assert caught.value.code == "file_not_found"


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "cells.gz").write_bytes(gzip.compress(b"AAA-1\n" * 99)[:-9])
    with pytest.raises(OSError, match="cells.gz is damaged"), opened(tmp_path / "cells.gz") as file:
        file.read()


@pytest.mark.parametrize("packed", [False, True])
def test_text_is_read_whatever_the_name(tmp_path, packed):
    text = "chr1\t\u03b2\n"
    content = text.encode("utf-8-sig")  # with a mark in front, as Windows writes it
    (tmp_path / "file.gz").write_bytes(gzip.compress(content) if packed else content)
    with opened(tmp_path / "file.gz") as file:
        assert file.read() == text


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as one, replacing(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"


def test_gzip_that_unpacks_to_gigabytes_is_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 2**22)
    text = {"bomb": " " * 2**24, "text": "".join(f"chr1\t{i}\n" for i in range(10**6))}
    for name, content in text.items():
        with gzip.open(tmp_path / name, "wt") as file:
            file.write(content)
    with opened(tmp_path / "text") as file:
        assert sum(map(len, file)) == len(text["text"])
    with pytest.raises(OSError, match="unpacks to more than"), opened(tmp_path / "bomb") as file:
        file.readline()


def test_room_is_reserved_in_a_file(tmp_path):
    (tmp_path / "x").write_bytes(b"content")
    reserve(tmp_path / "x", 1000)
    assert (tmp_path / "x").stat().st_size == 1007
    assert (tmp_path / "x").read_bytes()[:7] == b"content"


def test_a_folder_takes_the_place_of_one_of_its_kind_only(tmp_path):
    target = tmp_path / "store"
    for content in ("first", "second"):
        with replacing(target, ("mark",)) as temporary:
            temporary.mkdir()
            (temporary / "mark").write_text(content)
        assert (target / "mark").read_text() == content

    def fail():
        with replacing(target, ("mark",)) as temporary:
            temporary.mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert (target / "mark").read_text() == "second"
    (target / "mark").unlink()
    with pytest.raises(InputError, match="folder of that kind") as caught:
        require_writable(target, ("mark",))
    assert caught.value.code == "path_not_writable"
