"""A ZIP that nobody vouches for, opened and read within limits. No name in it is ever used as a path."""

from __future__ import annotations

import unicodedata
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

from training.data.check import DataError
from training.data.images.npz import FAULTS

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""How an archive begins, and one without entries."""
MAX_ENTRIES = 200_000
MAX_LISTING = 24 << 20
"""Most bytes of the list of entries, which is read at once: about 120 per entry."""
MAX_UNPACKED = 4 << 30
"""Most bytes that are unpacked of one archive, whatever its headers say."""
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
"""Bit of an entry's flags."""


class _Frugal:
    """A file that gives MAX_LISTING bytes at once at most: `zipfile` trusts the archive on how long its listing is."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.seek, self.tell, self.seekable = file, file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size if 0 <= size <= MAX_LISTING else MAX_LISTING + 1)
        if len(data) > MAX_LISTING:
            raise DataError("data.source", f"the archive lists too much; pack at most {MAX_ENTRIES} files")
        return data


@contextmanager
def opened(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """The archive, its entries looked through; DataError where it cannot be read within the limits."""
    with _sound("the archive"):
        archive = zipfile.ZipFile(cast(IO[bytes], _Frugal(file)))
    with archive:
        entries = archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise DataError("data.source", f"the archive has {len(entries)} entries; pack at most {MAX_ENTRIES} files")
        known: set[str] = set()
        for entry in entries:
            _judge(entry, known)
        yield archive


def name_of(entry: zipfile.ZipInfo) -> str:
    """The name in full, composed (NFC), so that it is the same wherever it was packed."""
    return unicodedata.normalize("NFC", entry.orig_filename)


def said(name: str) -> str:
    """A name as a message shows it: short, and nothing invisible in it."""
    return repr(name if len(name) <= 80 else f"{name[:80]}…")


def pieces(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, size: int) -> Iterator[bytes]:
    """An entry in pieces of this many bytes, the last one shorter; whoever takes them stops when there are enough."""
    with _sound(said(name_of(entry))):
        stream = archive.open(entry)
    with stream:
        while piece := _read(stream, size, entry):
            yield piece


def whole(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """An entry; of one with more than `most` bytes, that many and one more."""
    return next(pieces(archive, entry, most + 1), b"")


class Unpacked:
    """Counts what several entries give together; DataError above MAX_UNPACKED."""

    def __init__(self) -> None:
        self.bytes = 0

    def count(self, data: bytes) -> bytes:
        self.bytes += len(data)
        if self.bytes > MAX_UNPACKED:
            message = f"the archive unpacks to more than {MAX_UNPACKED >> 30} GiB"
            raise DataError("data.source", f"{message}; give fewer images")
        return data


def _read(stream: IO[bytes], size: int, entry: zipfile.ZipInfo) -> bytes:
    with _sound(said(name_of(entry))):
        return stream.read(size)


def _judge(entry: zipfile.ZipInfo, known: set[str]) -> None:
    name = name_of(entry)
    folded = name.casefold()
    if not name.isprintable() or "\\" in name or any(part in ("", ".", "..") for part in name.rstrip("/").split("/")):
        message = f"the archive has an entry named {said(name)}"
        raise DataError("data.source", f"{message}; use plain names with / between folder and file")
    if folded in known:
        raise DataError("data.source", f"the archive has {said(name)} twice, capitals aside; keep one")
    known.add(folded)
    if entry.flag_bits & ENCRYPTED:
        raise DataError("data.source", f"{said(name)} is encrypted; pack without a password")
    if entry.compress_type not in PACKED:
        raise DataError("data.source", f"{said(name)} is packed in an unusual way; pack as an ordinary ZIP (deflate)")


@contextmanager
def _sound(name: str) -> Iterator[None]:
    try:
        yield
    except FAULTS as error:
        raise DataError("data.source", f"{name} is damaged ({error}); pack and upload it again") from error
