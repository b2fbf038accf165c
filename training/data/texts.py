"""Documents in their three parts, and how text that comes without parts is cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TRAIN, VALIDATION = 0.90, 0.95
"""Where the training part ends and where the validation part ends, as shares of the characters."""


@dataclass(frozen=True)
class Texts:
    """The documents of a corpus: trained on, validated on, and held out for the downstream tasks."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]

    def parts(self) -> dict[str, tuple[str, ...]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def digest(self) -> str:
        """SHA-256 of the bytes, of where documents end and of the part each is in."""
        digest = hashlib.sha256()
        for name, documents in self.parts().items():
            digest.update(f"{name} {len(documents)}\n".encode())
            for document in documents:
                data = document.encode()
                digest.update(f"{len(data)}\n".encode())
                digest.update(data)
        return digest.hexdigest()


def cut(documents: Sequence[str]) -> Texts:
    """Cut documents, in their order, into the first 90 %, the next 5 % and the last 5 % of the characters.

    A document across a border is cut there, at a line's end or a space where one is near: the parts share no text.
    """
    total = sum(map(len, documents))
    train, rest = _take(documents, round(TRAIN * total))
    validation, test = _take(rest, round(VALIDATION * total) - sum(map(len, train)))
    return Texts(tuple(train), tuple(validation), tuple(test))


def pieces(documents: Iterable[str], size: int = 1 << 16) -> Iterable[str]:
    """The same text in pieces of at most `size` characters, cut after a line, else before a space, else anywhere."""
    for document in documents:
        start = 0
        while len(document) - start > size:
            window = document[start : start + size]
            end = window.rfind("\n") + 1 or max(window.rfind(" "), 0) or size
            yield window[:end]
            start += end
        if start < len(document):
            yield document[start:]


def _take(documents: Sequence[str], size: int) -> tuple[list[str], list[str]]:
    """Documents of at least `size` characters from the front, and the rest."""
    taken: list[str] = []
    for position, document in enumerate(documents):
        if size <= 0:
            return taken, list(documents[position:])
        end = len(document) if len(document) <= size else _border(document, size)
        taken.append(document[:end])
        size -= end
        if end < len(document):
            return taken, [document[end:], *documents[position + 1 :]]
    return taken, []


def _border(document: str, size: int) -> int:
    """The first line's end at or after `size`, else the first space, else `size`; looked for over 1,000 characters."""
    if line := document.find("\n", size - 1, size + 1000) + 1:
        return line
    space = document.find(" ", size, size + 1000)
    return size if space < 0 else space
