"""Finds text that cannot be trained on, cheaply: the web process judges an upload with it. Torch-free."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20
MAX_BYTES = 2 << 30
"""Most text that one corpus may hold; it is read into memory once, when it is tokenised."""


class DataError(Exception):
    """Data that cannot be trained on: the path of the field in the spec, and a sentence that says what to do."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path, self.message = path, message


@dataclass(frozen=True)
class TextFacts:
    """What one pass over a text tells."""

    bytes: int
    characters: int
    sha256: str


def check_text(
    text: Path | Iterable[bytes], *, context: int = 0, path: str = "data.source", name: str = "the text"
) -> TextFacts:
    """Read a text once, in pieces; DataError where it is empty, not UTF-8, too large or surely below a context.

    A token is at least one byte, so a text with fewer bytes than a sequence has tokens is too short with any
    tokenizer; a text that passes may still turn out too short once it is tokenised. The sentence is about `name`.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    digest, size, characters, blank = hashlib.sha256(), 0, 0, True
    for piece in chunks(text):
        held = len(decoder.getstate()[0])
        try:
            decoded = decoder.decode(piece)
        except UnicodeDecodeError as error:
            raise _not_utf8(size - held + error.start, path, name) from error
        digest.update(piece)
        size, characters, blank = size + len(piece), characters + len(decoded), blank and not decoded.strip()
        if size > MAX_BYTES:
            raise DataError(path, f"{name} is larger than {MAX_BYTES >> 30} GiB, the most that one corpus may hold")
    if held := len(decoder.getstate()[0]):
        raise _not_utf8(size - held, path, name)
    if blank:
        raise DataError(path, f"{name} is empty; give a file with text in it")
    if size < context + 1:
        raise DataError(path, f"{name} has {size} bytes, a context of {context} needs at least {context + 1} tokens")
    return TextFacts(size, characters, digest.hexdigest())


def chunks(text: Path | Iterable[bytes]) -> Iterator[bytes]:
    """A file in pieces, or the pieces as they come."""
    if not isinstance(text, Path):
        yield from text
        return
    with text.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def _not_utf8(offset: int, path: str, name: str) -> DataError:
    return DataError(path, f"{name} is not UTF-8: the byte at offset {offset} does not decode; convert it to UTF-8")
