"""Prepared data on disk: a folder appears by one rename when all of it is there, made once, whoever asks first."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SIZES = "sizes.json"


def built(folder: Path, fill: Callable[[Path], None]) -> Path:
    """The folder, filled by `fill` unless it is complete; what an interrupted build left is swept away.

    A second process that asks meanwhile waits for the first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_suffix(".lock")):
        if not complete(folder):
            part = folder.with_suffix(".part")
            for stale in (folder, part):
                shutil.rmtree(stale, ignore_errors=True)
            part.mkdir()
            fill(part)
            files = sorted(part.iterdir())
            for file in files:
                synced(file)
            (part / SIZES).write_text(json.dumps({file.name: file.stat().st_size for file in files}))
            synced(part / SIZES)
            os.rename(part, folder)
    return folder


def complete(folder: Path) -> bool:
    """Whether every file is there at its full size."""
    try:
        sizes: dict[str, int] = json.loads((folder / SIZES).read_bytes())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold a file lock, which the kernel lets go of with the process."""
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def synced(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
