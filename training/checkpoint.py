"""Checkpoints as folders: tensors as safetensors, the rest as JSON, a manifest of sizes and digests last. No pickle.

A folder appears by one rename, after everything in it reached the disk; a crash leaves the old one or the new one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import uuid
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as parse_tensors
from safetensors.torch import save_file
from torch import Tensor

MANIFEST, TENSORS, TREE = "manifest.json", "tensors.safetensors", "state.json"


class Damaged(ValueError):
    """The folder is incomplete or its bytes are not those that were written."""


def pack(state: Any) -> tuple[dict[str, Tensor], Any]:
    """Split a nested state of tensors and plain values into named tensors and a JSON tree that refers to them."""
    tensors: dict[str, Tensor] = {}

    def walk(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            tensors[path] = value.detach().cpu().contiguous().clone()
            return {"$": "tensor", "at": path}
        if isinstance(value, dict):
            if all(isinstance(key, str) for key in value) and "$" not in value:
                return {key: walk(item, f"{path}/{key}") for key, item in value.items()}
            return {"$": "dict", "of": [[walk(k, f"{path}?{k}"), walk(v, f"{path}/{k}")] for k, v in value.items()]}
        if isinstance(value, tuple):
            return {"$": "tuple", "of": [walk(item, f"{path}/{i}") for i, item in enumerate(value)]}
        if isinstance(value, list):
            return [walk(item, f"{path}/{i}") for i, item in enumerate(value)]
        if isinstance(value, float) and not math.isfinite(value):
            return {"$": "float", "is": repr(value)}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"a checkpoint cannot hold {type(value).__name__} at {path}")

    return tensors, walk(state, "")


def unpack(tensors: dict[str, Tensor], tree: Any) -> Any:
    """The state that `pack` split."""
    if isinstance(tree, list):
        return [unpack(tensors, item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    match tree.get("$"):
        case None:
            return {key: unpack(tensors, item) for key, item in tree.items()}
        case "tensor":
            return tensors[tree["at"]]
        case "dict":
            return {unpack(tensors, key): unpack(tensors, item) for key, item in tree["of"]}
        case "tuple":
            return tuple(unpack(tensors, item) for item in tree["of"])
        case "float":
            return float(tree["is"])
        case other:
            raise Damaged(f"unknown kind {other!r} in {TREE}")


def write(folder: Path, state: Any, **about: Any) -> str:
    """Write `state` to a folder that does not exist yet; returns the manifest's SHA-256.

    `about` (step, fence, ...) goes into the manifest.
    """
    tensors, tree = pack(state)
    draft = folder.parent / f".tmp-{uuid.uuid4().hex}"
    draft.mkdir(parents=True)
    try:
        save_file(tensors, draft / TENSORS)
        (draft / TREE).write_text(json.dumps(tree, allow_nan=False))
        files = {name: _fingerprint(draft / name) for name in (TENSORS, TREE)}
        text = json.dumps({**about, "torch": torch.__version__, "files": files}, indent=1)
        (draft / MANIFEST).write_text(text)
        for name in (TENSORS, TREE, MANIFEST, "."):
            _sync(draft / name)
        draft.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return hashlib.sha256(text.encode()).hexdigest()


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest, after checking that every file has the size and digest it names; Damaged otherwise."""
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        wrong = [name for name, print_ in found["files"].items() if _fingerprint(folder / name) != print_]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as failure:
        raise Damaged(f"{folder.name}: {failure}") from failure
    if wrong:
        raise Damaged(f"{folder.name}: {', '.join(wrong)} changed after writing")
    return found


def read(folder: Path) -> Any:
    """The state in a folder that verifies; Damaged otherwise."""
    manifest(folder)
    return unpack(parse_tensors((folder / TENSORS).read_bytes()), json.loads((folder / TREE).read_text()))


class FolderStore:
    """The store of a run without a server: the newest folder of each name that verifies."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def load(self, name: str) -> Any | None:
        for folder in reversed(self._saved(name)):
            try:
                return read(folder)
            except Damaged:
                continue
        return None

    def save(self, name: str, state: Any, *, step: int) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        older = self._saved(name)
        write(self.home / f"{name}@{len(older) and int(older[-1].name.rpartition('@')[2]) + 1:09d}", state, step=step)
        for folder in older[:-1]:
            shutil.rmtree(folder)

    def _saved(self, name: str) -> list[Path]:
        return sorted(self.home.glob(f"{name}@*"))


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
