from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from training.data.check import CHUNK, DataError, check_text


def test_a_good_text_tells_its_size_and_digest(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("Grüße, Welt.\n" * 10, encoding="utf-8")
    facts = check_text(file, context=8)
    assert (facts.bytes, facts.characters) == (150, 130)
    assert facts.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_pieces_of_an_upload_are_judged_like_a_file(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("Grüße, Welt.\n", encoding="utf-8")
    assert check_text(bytes([byte]) for byte in file.read_bytes()) == check_text(file)


@pytest.mark.parametrize("text", [b"", b" \n\t\n", "\u2003\n".encode()])
def test_a_text_without_a_character_is_empty(text: bytes) -> None:
    with pytest.raises(DataError, match="the text is empty; give a file with text in it") as failure:
        check_text([text])
    assert failure.value.path == "data.source"


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        (b"plain \xff text", 6),
        ("Grüße".encode("latin-1"), 2),
        ("words".encode("utf-16"), 0),
        (b"cut short \xe2\x82", 10),
        (b"a" * (CHUNK + 5) + b"\x80", CHUNK + 5),
    ],
)
def test_the_byte_that_is_not_utf8_is_named(tmp_path: Path, text: bytes, offset: int) -> None:
    (file := tmp_path / "text.txt").write_bytes(text)
    with pytest.raises(DataError, match=f"not UTF-8: the byte at offset {offset} "):
        check_text(file)


def test_the_offset_is_right_when_a_character_spans_two_pieces() -> None:
    with pytest.raises(DataError, match="offset 4 "):
        check_text([b"good\xe2", b"\x82bad"])


def test_fewer_bytes_than_a_sequence_has_tokens_is_too_short() -> None:
    with pytest.raises(DataError, match="the text has 8 bytes, a context of 8 needs at least 9 tokens"):
        check_text([b"eight by"], context=8)
    assert check_text([b"nine byte"], context=8).bytes == 9


def test_the_path_of_the_field_is_the_callers() -> None:
    with pytest.raises(DataError) as failure:
        check_text([b""], path="file")
    assert failure.value.path == "file"


@pytest.mark.parametrize("module", ["training.data.check", "training.data.sotu", "training.evaluation.lm_eval"])
def test_what_the_web_imports_loads_no_torch(module: str) -> None:
    program = f"import sys, {module}; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
