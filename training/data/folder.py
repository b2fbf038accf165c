"""The data folder: text files that people put beside the workers. Nothing outside it is ever read."""

from __future__ import annotations

from pathlib import Path

from training.data.check import MAX_BYTES, DataError, check_text


def found(name: str, data_root: Path) -> list[str]:
    """The text file `name` of the data folder, or the texts of the folder `name`, in order of their paths."""
    root = data_root.resolve()
    single = inside(data_root, name).is_file()
    return [
        text(file, "the text" if single else f"the file {str(file.relative_to(root))!r}")
        for file in files(name, data_root)
    ]


def files(name: str, data_root: Path) -> list[Path]:
    """Where these texts lie: the file itself, or the .txt files of the folder that are not empty; none is read."""
    place = inside(data_root, name)
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise DataError("data.source", f"no file or folder {name!r} in the data folder; put the text there")
    within = [inside(data_root, file) for file in sorted(place.rglob("*.txt")) if file.is_file()]
    if not within:
        raise DataError("data.source", f"the folder {name!r} holds no .txt file; put text files there")
    if sum(file.stat().st_size for file in within) > MAX_BYTES:
        raise DataError(
            "data.source", f"the folder {name!r} holds more than {MAX_BYTES >> 30} GiB, the most for a corpus"
        )
    return [file for file in within if file.stat().st_size]


def inside(data_root: Path, name: str | Path) -> Path:
    """The real path of a name in the data folder; a name or a link that leads out of it is unknown."""
    root = data_root.resolve()
    place = (root / name).resolve()
    if not place.is_relative_to(root) or place == root:
        raise DataError("data.source", f"no file or folder {Path(name).name!r} in the data folder; put the text there")
    return place


def text(file: Path, name: str = "the text") -> str:
    """A whole text file; a byte-order mark is dropped, line ends stay as they are."""
    check_text(file, name=name)
    return file.read_bytes().decode().removeprefix("\ufeff")
