"""Byte-level BPE: training a tokenizer on the training part, and turning documents into token ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from training.data.texts import pieces

END = "<|endoftext|>"
"""Stands after every document; always token 0, and never read from the text itself."""
TOKEN = np.uint16
"""Token ids on disk: a vocabulary has at most 65,536 entries."""
BATCH = 32


def train(documents: Sequence[str], vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer; the same documents give the same one. Little text gives fewer entries.

    Every byte has an entry, so any text is encoded and decoded without loss.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(pieces(documents), trainer)
    return tokenizer


def encode(tokenizer: Tokenizer, documents: Sequence[str], progress: Callable[[float], None]) -> NDArray[np.uint16]:
    """Token ids of the documents, each followed by END."""
    tokenizer.encode_special_tokens = True  # the letters of END in a text are letters
    end = tokenizer.token_to_id(END)
    total, done = max(1, sum(map(len, documents))), 0
    rows: list[NDArray[np.uint16]] = []
    for document in documents:
        parts = iter(pieces([document]))
        while batch := list(islice(parts, BATCH)):
            rows += [np.asarray(encoding.ids, TOKEN) for encoding in tokenizer.encode_batch_fast(batch)]
            done += sum(map(len, batch))
            progress(done / total)
        rows.append(np.asarray([end], TOKEN))
    return np.concatenate(rows) if rows else np.empty(0, TOKEN)


def byte_lengths(tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Bytes that each token stands for, by id; END counts as one, as a separator would."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    lengths = np.zeros(max(vocabulary.values()) + 1, np.int64)
    for token, index in vocabulary.items():
        lengths[index] = 1 if token == END else len(token)
    return lengths
