from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import pytest

from training.data import sotu
from training.data.check import DataError
from training.data.corpus import Corpus
from training.data.prepare import prepare
from training.spec import DataSpec

ADDRESSES = "\n\n".join(address.text for address in sotu.addresses()[:8])
SMALL = DataSpec(source="text:some.txt", vocab_size=300, context=16)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder with one text in it, and a cache beside it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "some.txt").write_text(ADDRESSES, encoding="utf-8")
    return tmp_path


def made(home: Path, data: DataSpec = SMALL, *, blob: Path | None = None, doings: list[str] | None = None) -> Corpus:
    def note(doing: str, share: float) -> None:
        if doings is not None and share == 0.0:
            doings.append(doing)

    return prepare(data, cache_root=home / "cache", data_root=home / "data", blob=blob, progress=note)


def contents(corpus: Corpus) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in corpus.folder.iterdir()}


def refused(home: Path, source: str, *, context: int = 16, blob: Path | None = None) -> tuple[str, str]:
    with pytest.raises(DataError) as failure:
        made(home, DataSpec(source=source, vocab_size=300, context=context), blob=blob)
    return failure.value.path, failure.value.message


def test_the_parts_are_the_text_in_its_order(home: Path) -> None:
    corpus = made(home)
    parts = [corpus.documents(part) for part in ("train", "validation", "test")]
    assert "".join(document for part in parts for document in part) == ADDRESSES


def test_the_tokenizer_has_seen_the_training_part_alone(home: Path) -> None:
    whole = made(home)
    train = "".join(whole.documents("train"))
    (home / "data" / "other.txt").write_text(train + ADDRESSES[len(train) :].upper(), encoding="utf-8")
    other = made(home, SMALL.model_copy(update={"source": "text:other.txt"}))
    assert other.folder != whole.folder
    assert contents(other)["tokenizer.json"] == contents(whole)["tokenizer.json"]


def test_tokens_are_read_from_a_file_of_sixteen_bit_numbers(home: Path) -> None:
    corpus = made(home)
    tokens = corpus.tokens("train")
    assert (corpus.folder / "train.bin").stat().st_size == 2 * len(tokens)
    assert not tokens.flags.writeable
    assert tokens.max() < 300


def test_a_second_call_finds_the_work_done(home: Path) -> None:
    first, doings = made(home), list[str]()
    assert made(home, doings=doings).folder == first.folder
    assert doings == []


def test_the_same_text_under_another_name_is_the_same_corpus(home: Path) -> None:
    (home / "data" / "some.txt").rename(home / "upload")
    (home / "data" / "some.txt").write_text(ADDRESSES, encoding="utf-8")
    uploaded = DataSpec(source="dataset:abcdefgh", vocab_size=300, context=16)
    assert made(home, uploaded, blob=home / "upload").folder == made(home).folder


def test_another_text_or_vocabulary_is_another_corpus(home: Path) -> None:
    folders = {made(home).folder, made(home, SMALL.model_copy(update={"vocab_size": 301})).folder}
    (home / "data" / "some.txt").write_text(ADDRESSES + "More.", encoding="utf-8")
    assert len(folders | {made(home).folder}) == 3


def test_the_context_cuts_the_same_corpus(home: Path) -> None:
    assert made(home).folder == made(home, SMALL.model_copy(update={"context": 32})).folder


def test_two_builds_are_equal_byte_for_byte(home: Path, tmp_path: Path) -> None:
    once = prepare(SMALL, cache_root=tmp_path / "one", data_root=home / "data")
    again = prepare(SMALL, cache_root=tmp_path / "two", data_root=home / "data")
    assert contents(once) == contents(again)


def test_an_interrupted_build_is_swept_away_and_made_again(home: Path) -> None:
    whole = contents(corpus := made(home))
    corpus.folder.rename(corpus.folder.with_suffix(".part"))
    assert contents(made(home)) == whole
    assert not corpus.folder.with_suffix(".part").exists()


@pytest.mark.parametrize("name", ["train.bin", "tokenizer.json", "sizes.json"])
def test_a_corpus_with_a_damaged_file_is_made_again(home: Path, name: str) -> None:
    whole = contents(corpus := made(home))
    (corpus.folder / name).write_bytes(whole[name][:-3])
    assert contents(made(home)) == whole


def build(home: Path, builds: Callable[[list[str]], None]) -> None:
    """What one of several processes does."""
    doings: list[str] = []
    made(home, doings=doings)
    builds(doings)


def test_processes_that_start_together_build_once(home: Path) -> None:
    fresh = multiprocessing.get_context("spawn")
    queue = fresh.Queue()
    processes = [fresh.Process(target=build, args=(home, queue.put)) for _ in range(3)]
    for process in processes:
        process.start()
    builders = [doings for doings in (queue.get(timeout=120) for _ in processes) if doings]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(builders) == 1
    assert builders[0][0] == "Training the tokenizer"


def test_a_folder_is_read_in_the_order_of_its_files(home: Path) -> None:
    (folder := home / "data" / "letters").mkdir()
    (folder / "sub").mkdir()
    for name, text in (("b.txt", ADDRESSES[40_000:]), ("a.txt", ADDRESSES[:40_000]), ("sub/readme.md", "not text")):
        (folder / name).write_text(text, encoding="utf-8")
    corpus = made(home, SMALL.model_copy(update={"source": "text:letters"}))
    parts = [corpus.documents(part) for part in ("train", "validation", "test")]
    assert "".join(document for part in parts for document in part) == ADDRESSES


def test_a_byte_order_mark_is_dropped(home: Path) -> None:
    (home / "data" / "marked.txt").write_text(ADDRESSES, encoding="utf-8-sig")
    assert made(home, SMALL.model_copy(update={"source": "text:marked.txt"})).folder == made(home).folder


@pytest.mark.parametrize("text", [b"", b" \n "])
def test_an_empty_text_is_refused(home: Path, text: bytes) -> None:
    (home / "data" / "empty.txt").write_bytes(text)
    path, message = refused(home, "text:empty.txt")
    assert path == "data.source"
    assert message == "the text is empty; give a file with text in it"


def test_a_text_that_is_not_utf8_is_refused_with_the_place(home: Path) -> None:
    (home / "data" / "latin.txt").write_bytes("Grüße".encode("latin-1"))
    path, message = refused(home, "text:latin.txt")
    assert path == "data.source"
    assert message == "the text is not UTF-8: the byte at offset 2 does not decode; convert it to UTF-8"


def test_the_bad_file_of_a_folder_is_named(home: Path) -> None:
    (home / "data" / "letters").mkdir()
    (home / "data" / "letters" / "a.txt").write_text(ADDRESSES, encoding="utf-8")
    (home / "data" / "letters" / "b.txt").write_bytes("Grüße".encode("latin-1"))
    _, message = refused(home, "text:letters")
    assert message.startswith("the file 'letters/b.txt' is not UTF-8: the byte at offset 2 ")


def test_a_text_shorter_than_a_context_is_refused_with_both_numbers(home: Path) -> None:
    (home / "data" / "short.txt").write_text("one two three four five six seven", encoding="utf-8")
    path, message = refused(home, "text:short.txt", context=256)
    assert path == "data.context"
    assert "tokens, a context of 256 needs 257; give more text or a shorter context" in message


def test_a_text_too_short_to_validate_on_is_refused(home: Path) -> None:
    (home / "data" / "short.txt").write_text(ADDRESSES[:4000], encoding="utf-8")
    path, message = refused(home, "text:short.txt", context=256)
    assert path == "data.source"
    assert "too few for one sequence of 257" in message


@pytest.mark.parametrize("source", ["text:missing.txt", "text:a..", "dataset:abcdefgh"])
def test_a_name_that_is_not_there_is_refused(home: Path, source: str) -> None:
    path, message = refused(home, source)
    assert path == "data.source"
    assert "put the text there" in message or "upload it again" in message


def test_a_folder_without_text_files_is_refused(home: Path) -> None:
    (home / "data" / "pictures").mkdir()
    assert refused(home, "text:pictures") == (
        "data.source",
        "the folder 'pictures' holds no .txt file; put text files there",
    )


def test_a_link_out_of_the_data_folder_is_refused(home: Path) -> None:
    (home / "secret.txt").write_text(ADDRESSES, encoding="utf-8")
    (home / "data" / "link.txt").symlink_to(home / "secret.txt")
    (home / "data" / "folder").mkdir()
    (home / "data" / "folder" / "link.txt").symlink_to(home / "secret.txt")
    for source in ("text:link.txt", "text:folder"):
        path, message = refused(home, source)
        assert path == "data.source"
        assert "no file or folder" in message
        assert str(home) not in message
