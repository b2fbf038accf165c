"""Two texts cut by one tokenizer: a general one and that of a domain, so that their losses are in the same unit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from training.data import prepare as single
from training.data.cache import built
from training.data.check import DataError
from training.data.corpus import Corpus
from training.data.progress import Progress, silent
from training.spec import DataSpec


@dataclass(frozen=True)
class Corpora:
    """Both texts, tokenised alike."""

    general: Corpus
    domain: Corpus


def prepare(
    data: DataSpec, *, cache_root: Path, data_root: Path, blob: Path | None = None, progress: Progress = silent
) -> Corpora:
    """Find, judge and tokenise both texts of a spec; the tokenizer is trained on both training parts together.

    `blob` is the uploaded file behind a general text `dataset:<code>`. DataError names the field and what to do.
    """
    if data.domain is None:
        raise DataError("data.domain", "a mixture needs a second text")
    cache = cache_root / "corpora"
    general = single.texts(data.source, cache=cache, data_root=data_root, blob=blob, progress=progress)
    try:
        domain = single.texts(data.domain, cache=cache, data_root=data_root, blob=None, progress=progress)
    except DataError as error:
        raise DataError("data.domain", error.message) from error
    learnt_from = (*general.train, *domain.train)
    both = hashlib.sha256(f"{single.FORMAT} {data.vocab_size} {general.digest()} {domain.digest()}".encode())
    folders = [
        built(
            cache / f"{both.hexdigest()[:32]}-{name}",
            partial(single.fill, texts, learnt_from, data.vocab_size, progress),
        )
        for name, texts in (("general", general), ("domain", domain))
    ]
    corpora = Corpora(*map(Corpus, folders))
    single.long_enough(corpora.general, data.context)
    try:
        single.long_enough(corpora.domain, data.context)
    except DataError as error:
        raise DataError(error.path.replace("source", "domain"), error.message) from error
    return corpora
