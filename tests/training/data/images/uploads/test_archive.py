from __future__ import annotations

import io
import struct
import zipfile

import pytest

from tests.training.data.images.uploads.packed import files, refusal, zipped
from training.data.images.decode import MAX_FILE
from training.data.images.uploads import archive
from training.data.images.uploads.canonical import is_archive

NAMES = ["../a/zz.png", "a/../../zz.png", "/etc/zz.png", "a//zz.png", "./a/zz.png", "a\\..\\zz.png", "C:\\zz.png",
         "a/zz\x00.png", "a\u202e/zz.png", "a/z\nz.png"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    said = refusal(zipped(files() | {name: b"x"}))
    assert said.startswith("source: the archive has an entry named ")
    assert said.isprintable()


@pytest.mark.parametrize("name", ["ant/000.png", "Ant/000.PNG"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(name: str) -> None:
    stream = zipped(files())
    with zipfile.ZipFile(stream, "a") as found:
        found.writestr(name, b"x")
    assert "twice, capitals aside" in refusal(stream)


def test_a_bomb_is_unpacked_no_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED", 1 << 20)
    bomb = zipped({"ant/zz.png": bytes(16 << 20)}, compression=zipfile.ZIP_DEFLATED)
    assert len(bomb.getvalue()) < 1 << 16
    assert "unpacks to more than" in refusal(bomb)


def test_a_file_of_more_bytes_than_an_image_may_have_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_UNPACKED", MAX_FILE + 1)
    bomb = zipped({"ant/zz.png": bytes(MAX_FILE + 2)}, compression=zipfile.ZIP_DEFLATED)
    assert "has more than 64 MiB; make the image smaller" in refusal(bomb)


def test_a_size_that_an_entry_understates_is_found_out() -> None:
    packed = zipped(files() | {"bee/zz.png": bytes(5000)}, compression=zipfile.ZIP_DEFLATED).getvalue()
    lied = packed.replace(struct.pack("<I", 5000), struct.pack("<I", 50))
    assert lied != packed
    assert "is damaged" in refusal(io.BytesIO(lied))


def test_more_entries_than_allowed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 17)
    assert "has 18 entries; pack at most 17 files" in refusal(zipped(files()))


def test_a_listing_is_not_read_further_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = zipped(files())
    monkeypatch.setattr(archive, "MAX_LISTING", 900)
    assert "the archive lists too much; pack at most 200000 files" in refusal(packed)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_unusual_compression_is_refused(method: int) -> None:
    assert "is packed in an unusual way" in refusal(zipped(files(), compression=method))


def test_an_encrypted_archive_is_refused() -> None:
    packed = bytearray(zipped(files()).getvalue())
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        packed[packed.index(mark) + place] |= 1
    assert "is encrypted; pack without a password" in refusal(io.BytesIO(bytes(packed)))


def test_a_damaged_archive_is_refused() -> None:
    packed = zipped(files()).getvalue()
    assert "the archive is damaged" in refusal(io.BytesIO(packed[:-40]))
    assert "the archive is damaged" in refusal(io.BytesIO(packed[:40]))
    with zipfile.ZipFile(io.BytesIO(packed)) as found:
        place = found.infolist()[0].file_size // 2
    assert "is damaged" in refusal(io.BytesIO(packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :]))


@pytest.mark.parametrize(("content", "archive"), [
    (zipped(files()).getvalue(), True), (zipped({}).getvalue(), True), (b"", False), (b"PK", False), (b"PKZIP", False),
])  # fmt: skip
def test_an_archive_is_told_by_how_it_begins(content: bytes, archive: bool) -> None:
    assert is_archive(io.BytesIO(content)) is archive
