from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.data import hub, sotu
from training.data.check import DataError
from training.data.texts import Texts

ROWS = [{"id": number, "text": sentence + "."} for number, sentence in enumerate(sotu.addresses()[0].text.split("."))]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")


def put(home: Path, files: dict[str, list[dict[str, object]]], name: str = "acme/letters") -> None:
    """A dataset of JSON lines in the place of the hub."""
    folder = home / "hf" / name
    folder.mkdir(parents=True)
    for file, rows in files.items():
        (folder / file).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read(home: Path, name: str = "acme/letters") -> Texts:
    return hub.read(name, home, lambda doing, share: None)


def test_the_text_column_is_cut_into_parts(tmp_path: Path) -> None:
    put(tmp_path, {"train.jsonl": ROWS})
    texts = read(tmp_path)
    whole = "".join(texts.train + texts.validation + texts.test)
    assert whole == "".join(str(row["text"]) for row in ROWS)
    assert texts.validation
    assert texts.test


def test_a_datasets_own_parts_are_kept(tmp_path: Path) -> None:
    put(tmp_path, {"train.jsonl": ROWS[:10], "validation.jsonl": ROWS[10:14], "test.jsonl": ROWS[14:20]})
    assert [len(part) for part in read(tmp_path).parts().values()] == [10, 4, 6]


def test_the_only_column_of_strings_is_the_text(tmp_path: Path) -> None:
    put(tmp_path, {"train.jsonl": [{"id": row["id"], "body": row["text"]} for row in ROWS]})
    assert "".join(read(tmp_path).train).startswith("Fellow-Citizens")


def test_two_columns_of_strings_are_refused_by_name(tmp_path: Path) -> None:
    put(tmp_path, {"train.jsonl": [{"question": "a", "answer": "b"}]})
    with pytest.raises(DataError, match="no column 'text' and not one of strings; it has question, answer"):
        read(tmp_path)


def test_empty_rows_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, {"train.jsonl": [{"text": ""}, *ROWS[:10], {"text": None}]})
    assert "" not in read(tmp_path).train


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hf" / "acme" / "letters").mkdir(parents=True)
    with pytest.raises(DataError, match="'acme/letters'"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["text", "json", "../..", "./hf"])
def test_a_name_that_is_not_the_hubs_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as failure:
        read(tmp_path, name)
    assert failure.value.path == "data.source"


def test_a_folder_where_the_process_runs_is_not_taken_for_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme" / "letters").mkdir(parents=True)
    (tmp_path / "acme" / "letters" / "train.jsonl").write_text('{"text": "secret"}\n')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="names no dataset of the hub"):
        read(tmp_path / "data")


def test_a_hub_out_of_reach_is_told_with_what_to_do(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from training.data import hub\n"
        "from training.data.check import DataError\n"
        "try: hub.read('acme/letters', Path(sys.argv[1]), print)\n"
        "except DataError as error: print(error)"
    )
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home")}
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        env=os.environ | nowhere, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert "the Hugging Face hub cannot be reached and 'acme/letters' is not in its cache" in told.stdout
    assert "put the dataset into hf/acme/letters of the data folder" in told.stdout
