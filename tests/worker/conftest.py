"""A run that this process holds, as its trainer would."""

from __future__ import annotations

from tests.webapp.runs.conftest import lease, new_run

__all__ = ["lease", "new_run"]
