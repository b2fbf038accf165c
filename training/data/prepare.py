"""From a spec's data to a corpus: found, judged, tokenised once per content, whoever asks first."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from training.data import sources, tokens
from training.data.cache import built, locked
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
    found = texts(data.source, cache=cache, data_root=data_root, blob=blob, progress=progress)
    key = hashlib.sha256(f"{FORMAT} {data.vocab_size} {found.digest()}".encode()).hexdigest()[:32]
    corpus = Corpus(built(cache / key, partial(fill, found, found.train, data.vocab_size, progress)))
    long_enough(corpus, data.context)
    return corpus


def texts(source: str, *, cache: Path, data_root: Path, blob: Path | None, progress: Progress) -> Texts:
    """The documents of a source, of which there are some to train on."""
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.lock"):
        found = sources.read(source, cache=cache, data_root=data_root, blob=blob, progress=progress)
    if not any(document.strip() for document in found.train):
        raise DataError("data.source", "the text is empty; give a source with text in it")
    return found


def fill(texts: Texts, learnt_from: Sequence[str], vocab_size: int, progress: Progress, folder: Path) -> None:
    """Tokenise every part of a text with a tokenizer trained on these documents, its own or more."""
    progress("Training the tokenizer", 0.0)
    tokenizer = tokens.train(learnt_from, vocab_size)
    (folder / "tokenizer.json").write_text(tokenizer.to_str())
    for name, documents in texts.parts().items():
        encoded = tokens.encode(tokenizer, documents, partial(progress, f"Tokenising the {name} part"))
        (folder / f"{name}.bin").write_bytes(encoded.tobytes())


def long_enough(corpus: Corpus, context: int) -> None:
    """Training and validation each need one sequence and the token after it."""
    needed = context + 1
    if (train := len(corpus.tokens("train"))) < needed:
        message = f"the training text has {train} tokens, a context of {context} needs {needed}"
        raise DataError("data.context", f"{message}; give more text or a shorter context")
    if (held_out := len(corpus.tokens("validation"))) < needed:
        message = f"the validation split has {held_out} tokens, too few for one sequence of {needed}"
        raise DataError("data.source", f"{message}; give more text (a twentieth of it validates) or a shorter context")
