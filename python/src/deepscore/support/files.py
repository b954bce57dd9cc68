"""Files: read plain or gzip, and written so that they appear only when they are complete."""

from __future__ import annotations

import errno
import gzip
import os
import secrets
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ..errors import InputError

__all__ = ["opened", "replacing", "require_file", "require_writable"]


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
    open_text: Callable[..., TextIO] = gzip.open if packed else open
    try:
        with open_text(path, "rt", encoding="utf-8-sig", errors="replace") as file:  # Windows writes a mark in front
            yield file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise OSError(f"{path} is damaged or cut short ({error}). Copy or download it anew.") from error


def require_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path that no file can be written to, before any work is done.

    Raises
    ------
    InputError
        ``path_not_writable``.
    """
    try:
        folder = _target(path).parent
    except (OSError, ValueError) as error:
        raise InputError(
            "path_not_writable", f"{path} cannot be written to: {getattr(error, 'strerror', error)}."
        ) from None
    if not os.access(folder, os.W_OK):
        raise InputError("path_not_writable", f"The folder of {path} is not there, or nothing may be written to it.")


def _target(path: str | os.PathLike[str]) -> Path:
    """Follow links to the file to write; a folder, a device, a pipe or a link to nothing is no place for one."""
    target = Path(os.path.realpath(path))
    if os.path.lexists(path) and not target.is_file():
        raise OSError(errno.EEXIST, "what is there is no regular file, nor a link to one")
    return target


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `path` to write to; its file takes the place of `path` when it is complete and on disk.

    After a failure whatever was at `path` is still there. Permissions stay, and a symbolic link stays one.
    """
    target = _target(path)
    temporary = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        if target.is_file():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
