"""Text of a Hugging Face dataset, by the `datasets` library: from the hub, from its cache, or from the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.data.check import MAX_BYTES, DataError
from training.data.folder import inside
from training.data.progress import Progress
from training.data.texts import Texts, cut

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def read(name: str, data_root: Path, progress: Progress) -> Texts:
    """The dataset's text column; its own three parts where it has a validation and a test part, else its first, cut.

    A folder `hf/<owner>/<name>` in the data folder takes the hub's place, for machines that cannot reach it.
    """
    found = load(name, data_root, progress)
    train = rows(found["train"] if "train" in found else found[next(iter(found))], name)
    validation = next((part for part in ("validation", "valid", "dev") if part in found), None)
    if validation and "test" in found:
        return Texts(tuple(train), tuple(rows(found[validation], name)), tuple(rows(found["test"], name)))
    return cut(train)


def load(name: str, data_root: Path, progress: Progress) -> DatasetDict:
    """All parts of the dataset; no code of a dataset is ever run."""
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    local = inside(data_root, f"hf/{name}")
    if name.count("/") != 1 or (Path(name).exists() and not local.is_dir()):  # the library would read local files
        raise DataError("data.source", f"{name!r} names no dataset of the hub; write hf:<owner>/<name>")
    where = "the data folder" if local.is_dir() else "the Hugging Face hub"
    progress(f"Loading the dataset {name} from {where}", 0.0)
    try:
        found: DatasetDict = load_dataset(str(local) if local.is_dir() else name)
    except DatasetNotFoundError as error:
        raise DataError("data.source", f"no public dataset {name!r} on the Hugging Face hub; check its name") from error
    except (ConnectionError, TimeoutError) as error:
        raise DataError(
            "data.source",
            f"the Hugging Face hub cannot be reached and {name!r} is not in its cache; "
            f"try again later, or put the dataset into hf/{name} of the data folder",
        ) from error
    except (ValueError, RuntimeError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError("data.source", f"the dataset {name!r} cannot be loaded: {first}") from error
    return found


def rows(part: Dataset, name: str) -> list[str]:
    """The column `text`, or the only column of strings; empty rows are left out."""
    columns = [column for column, feature in part.features.items() if getattr(feature, "dtype", "") == "string"]
    column = "text" if "text" in columns else columns[0] if len(columns) == 1 else None
    if column is None:
        named = ", ".join(part.column_names)
        raise DataError(
            "data.source", f"the dataset {name!r} has no column 'text' and not one of strings; it has {named}"
        )
    taken: list[str] = []
    size = 0
    row: dict[str, Any]
    for row in part.select_columns([column]):
        if value := row[column]:
            taken.append(value)
            size += len(value)
        if size > MAX_BYTES:
            raise DataError(
                "data.source", f"the dataset {name!r} has more than {MAX_BYTES >> 30} GiB of text, the most"
            )
    return taken
