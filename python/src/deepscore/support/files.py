"""Files: read plain or gzip, and written so that they appear only when they are complete."""

from __future__ import annotations

import errno
import gzip
import io
import os
import secrets
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ..errors import InputError

__all__ = ["opened", "replacing", "require_file", "require_writable", "reserve"]

# Text may unpack to so many bytes, or to so many times what is stored: deflate ends at 1,032 times.
MOST_BYTES, MOST_TIMES = 2**30, 900


def require_file(path: Path) -> None:
    """Refuse a path at which no file can be read.

    Raises
    ------
    InputError
        ``file_not_found``.
    """
    try:
        found = path.is_file()
        if found:
            path.open("rb").close()
    except OSError as error:  # no permission, or a name that is too long
        raise InputError("file_not_found", f"The file {path} cannot be read: {error.strerror}.") from None
    if not found:
        raise InputError("file_not_found", f"There is no file {path}.")


class _Unpacked(gzip.GzipFile):
    """Gzip that ends where it unpacks to far more than any text would: a single line may be as long as all of it."""

    def read1(self, size: int = -1) -> bytes:
        data = super().read1(size)
        self.unpacked = getattr(self, "unpacked", 0) + len(data)
        if self.unpacked > MOST_BYTES and self.unpacked > MOST_TIMES * os.path.getsize(self.name):
            raise gzip.BadGzipFile(f"it unpacks to more than {self.unpacked:,} bytes")
        return data


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """Open text that is plain or gzip, whatever its name; what is not UTF-8 is replaced.

    Raises
    ------
    InputError
        ``file_not_found``.
    OSError
        Names the file where it is damaged.
    """
    require_file(path)
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    try:
        source: Any = _Unpacked(path) if packed else path.open("rb")
        with io.TextIOWrapper(source, encoding="utf-8-sig", errors="replace") as file:  # Windows writes a mark in front
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise OSError(f"{path} is damaged or cut short ({error}). Copy or download it anew.") from error


def require_writable(path: str | os.PathLike[str], marks: Sequence[str] = ()) -> None:
    """Refuse a path that no file can be written to, before any work is done.

    Parameters
    ----------
    marks
        For what is a folder, such as a store: a folder that is there may be replaced if it holds one of these files.

    Raises
    ------
    InputError
        ``path_not_writable``.
    """
    try:
        folder = _target(path, marks).parent
    except (OSError, ValueError) as error:
        raise InputError(
            "path_not_writable", f"{path} cannot be written to: {getattr(error, 'strerror', error)}."
        ) from None
    if not os.access(folder, os.W_OK):
        raise InputError("path_not_writable", f"The folder of {path} is not there, or nothing may be written to it.")


def _target(path: str | os.PathLike[str], marks: Sequence[str] = ()) -> Path:
    """Follow links to the file to write; a folder, a device, a pipe or a link to nothing is no place for one."""
    target = Path(os.path.realpath(path))
    found = any(target.joinpath(mark).is_file() for mark in marks) if marks else target.is_file()
    if os.path.lexists(path) and not found:
        what = "folder of that kind" if marks else "regular file"
        raise OSError(errno.EEXIST, f"what is there is no {what}, nor a link to one")
    return target


def reserve(path: Path, n_bytes: int) -> None:
    """Make sure that a file can grow by so many bytes, where the system can tell.

    HDF5 ends the process by a segmentation fault where it meets a full disk while it closes a file.

    Raises
    ------
    OSError
        Says that there is no space.
    """
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), path.stat().st_size, n_bytes)


@contextmanager
def replacing(path: str | os.PathLike[str], marks: Sequence[str] = ()) -> Iterator[Path]:
    """Give a path beside `path` to write to; what is there takes the place of `path` when it is complete and on disk.

    After a failure whatever was at `path` is still there. Permissions stay, and a symbolic link stays one.

    Parameters
    ----------
    marks
        As for :func:`require_writable`: what is written is a folder.
    """
    target = _target(path, marks)
    temporary, aside = (target.with_name(f"{target.name}.{secrets.token_hex(4)}.part") for _ in range(2))
    try:
        yield temporary
        if not marks:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            if target.is_file():
                shutil.copymode(target, temporary)
        elif target.is_dir():  # no folder takes the place of another in one step
            os.rename(target, aside)
        os.replace(temporary, target)
    finally:
        if aside.exists() and not target.exists():
            os.rename(aside, target)
        for left in (temporary, aside):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
