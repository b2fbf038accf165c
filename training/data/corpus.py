"""A corpus ready to train on: memory-mapped token ids per part, and their tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training.data import tokens
from training.data.sotu import Split
from training.data.tokens import END, TOKEN


@dataclass(frozen=True)
class Corpus:
    """A folder of `tokenizer.json` and one file of 16-bit token ids per part, END after each document."""

    folder: Path

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer.from_file(str(self.folder / "tokenizer.json"))

    def tokens(self, part: Split) -> NDArray[np.uint16]:
        """The part's token ids, memory-mapped."""
        file = self.folder / f"{part}.bin"
        return np.memmap(file, TOKEN, mode="r") if file.stat().st_size else np.empty(0, TOKEN)

    def documents(self, part: Split) -> list[str]:
        """The part's text, as it was before it was tokenised."""
        ids = self.tokens(part)
        ends = np.flatnonzero(ids == self.tokenizer.token_to_id(END))
        return [self.tokenizer.decode(piece[:-1].tolist()) for piece in np.split(ids, ends + 1)[:-1]]

    @cached_property
    def byte_lengths(self) -> NDArray[np.int64]:
        """Bytes of text per token id."""
        return tokens.byte_lengths(self.tokenizer)
