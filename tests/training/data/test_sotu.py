from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise

from training.data import sotu
from training.data.sources import shipped


def words(text: str, length: int = 20) -> set[tuple[str, ...]]:
    """All runs of `length` words."""
    found = re.findall(r"\w+", text.lower())
    return {tuple(found[start : start + length]) for start in range(len(found) - length)}


def test_the_corpus_holds_every_address_from_1790_to_2021() -> None:
    years = [address.year for address in sotu.addresses()]
    assert (len(years), years[0], years[-1]) == (233, 1790, 2021)
    assert years == sorted(years)


def test_every_address_keeps_its_party() -> None:
    parties = Counter(address.party for address in sotu.addresses())
    assert (parties["Republican"], parties["Democratic"], parties["none"]) == (92, 90, 7)


def test_the_split_is_by_whole_addresses_and_documented_sizes() -> None:
    texts = shipped()
    assert [len(part) for part in texts.parts().values()] == [186, 23, 24]
    everything = [document for part in texts.parts().values() for document in part]
    assert sorted(everything) == sorted(address.text for address in sotu.addresses())


def test_held_out_addresses_share_almost_no_passage_with_training() -> None:
    texts = shipped()
    seen = set().union(*map(words, texts.train))
    shares = [len(words(text) & seen) / len(words(text)) for text in texts.validation + texts.test]
    assert max(shares) < 0.014


def test_every_era_is_in_every_part() -> None:
    for part in ("train", "validation", "test"):
        years = [address.year for address in sotu.addresses() if address.split == part]
        assert max(later - earlier for earlier, later in pairwise(years)) <= 11
