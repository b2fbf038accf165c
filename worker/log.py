"""The log file of an attempt: whatever the trainer prints, head and tail kept when it is too long."""

from __future__ import annotations

from pathlib import Path

LIMIT = 64 * 1024 * 1024
CUT = b"\n[... the middle of this log was dropped: it passed its limit ...]\n"


class CappedLog:
    """Appends to `path`; past `limit` bytes it keeps the first half and the newest quarter."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file, self.limit = path.open("a+b", buffering=0), limit
        self.size = path.stat().st_size

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.size += len(data)
        if self.size > self.limit:
            self._shorten()

    def _shorten(self) -> None:
        head, tail = self.limit // 2, self.limit // 4
        self.file.seek(-tail, 2)
        newest = self.file.read()
        self.file.truncate(head)
        self.file.write(CUT + newest)
        self.size = head + len(CUT) + len(newest)

    def close(self) -> None:
        self.file.close()
