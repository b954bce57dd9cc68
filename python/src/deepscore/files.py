"""Files: read plain or gzip, and written so that they appear only when they are complete."""

from __future__ import annotations

import gzip
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from .errors import InputError

__all__ = ["opened", "replacing", "require_writable"]


def opened(path: Path) -> TextIO:
    """Open text that is plain or gzip, whatever its name; what is not UTF-8 is replaced."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    if packed:
        return gzip.open(path, "rt", encoding="utf-8", errors="replace")
    return path.open(encoding="utf-8", errors="replace")


def require_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a path that no file can be written to, before any work is done.

    Raises
    ------
    InputError
        ``path_not_writable``.
    """
    if not os.access(Path(path).resolve().parent, os.W_OK):
        raise InputError("path_not_writable", f"The folder of {path} is not there, or nothing may be written to it.")
    if Path(path).is_dir():
        raise InputError("path_not_writable", f"{path} is a folder: name a file.")


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path beside `path` to write to; its file takes the place of `path` when it is complete and on disk.

    After a failure whatever was at `path` is still there. Permissions stay, and a symbolic link stays one.
    """
    target = Path(os.path.realpath(path))
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
