"""From a spec's data to a corpus: found, judged, tokenised once per content, whoever asks first."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from training.data import sources, tokens
from training.data.check import DataError
from training.data.corpus import Corpus
from training.data.progress import Progress, silent
from training.data.texts import Texts
from training.spec import DataSpec

__all__ = ["DataError", "prepare"]

FORMAT = 1
"""Raised whenever the same documents would give other files."""


def prepare(
    data: DataSpec, *, cache_root: Path, data_root: Path, blob: Path | None = None, progress: Progress = silent
) -> Corpus:
    """Find, judge and tokenise the text of a spec; a second call, from any process, finds the work done.

    `blob` is the uploaded file behind `dataset:<code>`. DataError names the field and what to do.
    """
    cache = cache_root / "corpora"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / f"{hashlib.sha256(data.source.encode()).hexdigest()[:16]}.lock"):
        texts = sources.read(data.source, cache=cache, data_root=data_root, blob=blob, progress=progress)
    if not any(document.strip() for document in texts.train):
        raise DataError("data.source", "the text is empty; give a source with text in it")
    key = hashlib.sha256(f"{FORMAT} {data.vocab_size} {texts.digest()}".encode()).hexdigest()[:32]
    with _locked(cache / f"{key}.lock"):
        if not _complete(cache / key):
            _build(texts, data.vocab_size, cache / key, progress)
    corpus = Corpus(cache / key)
    _long_enough(corpus, data.context)
    return corpus


def _build(texts: Texts, vocab_size: int, folder: Path, progress: Progress) -> None:
    """Make the files beside their place and rename them into it, what an interrupted build left swept away."""
    part = folder.with_suffix(".part")
    for stale in (folder, part):
        shutil.rmtree(stale, ignore_errors=True)
    part.mkdir()
    progress("Training the tokenizer", 0.0)
    tokenizer = tokens.train(texts.train, vocab_size)
    _write(part / "tokenizer.json", tokenizer.to_str().encode())
    sizes = {"tokenizer.json": (part / "tokenizer.json").stat().st_size}
    for name, documents in texts.parts().items():
        label = f"Tokenising the {name} part"
        data = tokens.encode(tokenizer, documents, partial(progress, label)).tobytes()
        _write(part / f"{name}.bin", data)
        sizes[f"{name}.bin"] = len(data)
    _write(part / "sizes.json", json.dumps(sizes).encode())
    os.rename(part, folder)


def _complete(folder: Path) -> bool:
    """Whether every file is there at its full size."""
    try:
        sizes: dict[str, int] = json.loads((folder / "sizes.json").read_bytes())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False


def _long_enough(corpus: Corpus, context: int) -> None:
    """Training and validation each need one sequence and the token after it."""
    needed = context + 1
    if (train := len(corpus.tokens("train"))) < needed:
        message = f"the training text has {train} tokens, a context of {context} needs {needed}"
        raise DataError("data.context", f"{message}; give more text or a shorter context")
    if (held_out := len(corpus.tokens("validation"))) < needed:
        message = f"the validation split has {held_out} tokens, too few for one sequence of {needed}"
        raise DataError("data.source", f"{message}; give more text (a twentieth of it validates) or a shorter context")


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a file lock, which the kernel lets go of with the process."""
    with file.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
