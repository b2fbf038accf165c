from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from training.data import sotu, tokens

TEXTS = [address.text for address in sotu.addresses()[:4]]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return tokens.train(TEXTS, 400)


def encoded(tokenizer: Tokenizer, *documents: str) -> list[int]:
    found: list[int] = tokens.encode(tokenizer, documents, lambda share: None).tolist()
    return found


def test_the_same_text_gives_the_same_tokenizer(tokenizer: Tokenizer) -> None:
    assert tokens.train(TEXTS, 400).to_str() == tokenizer.to_str()
    assert tokenizer.get_vocab_size() == 400


def test_the_smallest_vocabulary_is_the_bytes_and_the_end() -> None:
    assert tokens.train(TEXTS, 257).get_vocab_size() == 257


def test_little_text_gives_a_smaller_vocabulary() -> None:
    assert 257 <= tokens.train(["a b a b"], 5000).get_vocab_size() < 300


@pytest.mark.parametrize("text", [TEXTS[0], "naïve — 漢字 🙂 \x00\r\n\t  two", " leading", "x" * 200_000])
def test_any_text_comes_back_as_it_was(tokenizer: Tokenizer, text: str) -> None:
    ids = encoded(tokenizer, text)
    assert tokenizer.decode(ids[:-1]) == text


def test_every_document_ends_with_the_end(tokenizer: Tokenizer) -> None:
    ids = encoded(tokenizer, "one", "", "two")
    assert [index for index in ids if index == 0] == [0, 0, 0]
    assert ids[-1] == tokenizer.token_to_id(tokens.END) == 0


def test_the_letters_of_the_end_in_a_text_are_letters(tokenizer: Tokenizer) -> None:
    ids = encoded(tokenizer, f"before {tokens.END} after")
    assert ids.count(0) == 1
    assert tokenizer.decode(ids[:-1]) == f"before {tokens.END} after"


def test_byte_lengths_add_up_to_the_text(tokenizer: Tokenizer) -> None:
    documents = ["naïve — 漢字", *TEXTS[:2]]
    lengths = tokens.byte_lengths(tokenizer)[np.array(encoded(tokenizer, *documents))]
    assert lengths.sum() == sum(len(document.encode()) + 1 for document in documents)


def test_progress_rises_to_the_whole(tokenizer: Tokenizer) -> None:
    shares: list[float] = []
    tokens.encode(tokenizer, TEXTS, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
