from __future__ import annotations

import pytest

from training.data.texts import Texts, cut, pieces

LINES = "".join(f"This is line {number} of a text.\n" for number in range(400))


def test_the_parts_put_together_are_the_text() -> None:
    texts = cut([LINES])
    assert "".join(texts.train + texts.validation + texts.test) == LINES


def test_nine_tenths_train_and_a_twentieth_each_validates_and_tests() -> None:
    shares = [sum(map(len, part)) / len(LINES) for part in cut([LINES]).parts().values()]
    assert shares == pytest.approx([0.90, 0.05, 0.05], abs=0.005)


def test_a_part_ends_with_a_line() -> None:
    texts = cut([LINES])
    assert all(part[-1].endswith("\n") for part in texts.parts().values())


def test_a_text_of_one_line_is_cut_between_words() -> None:
    texts = cut([LINES.replace("\n", " ")])
    assert all(part[0].split(" ")[0] in ("This", "") or part[0][0] == " " for part in texts.parts().values())
    assert len(texts.validation[0]) > 300


def test_a_text_without_spaces_is_cut_all_the_same() -> None:
    assert [len(part[0]) for part in cut(["x" * 10_000]).parts().values()] == [9000, 500, 500]


def test_whole_documents_stay_whole_away_from_a_border() -> None:
    documents = [f"Document {number}. " * 20 for number in range(100)]
    texts = cut(documents)
    assert texts.train[:89] == tuple(documents[:89])
    assert texts.test[-1] == documents[-1]


def test_a_document_moved_to_another_part_is_another_content() -> None:
    texts = Texts(("one", "two"), ("three",), ("four",))
    assert texts.digest() == Texts(("one", "two"), ("three",), ("four",)).digest()
    assert texts.digest() != Texts(("one",), ("two", "three"), ("four",)).digest()
    assert texts.digest() != Texts(("onetwo",), ("three",), ("four",)).digest()


@pytest.mark.parametrize("document", [LINES, LINES.replace("\n", " "), "x" * 1000, "", " " * 999])
def test_pieces_keep_every_character_and_the_limit(document: str) -> None:
    found = list(pieces([document], size=100))
    assert "".join(found) == document
    assert all(0 < len(piece) <= 100 for piece in found)
