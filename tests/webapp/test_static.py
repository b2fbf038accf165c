"""Static files of others that lie in the repository."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from django.contrib.staticfiles import finders

STATIC = Path(__file__).resolve().parents[2] / "webapp" / "static"


def test_plotly_is_the_published_file_below_one_line_of_ours() -> None:
    hint, _, published = (STATIC / "plotly-basic.min.js").read_bytes().partition(b"\n")
    stated = re.search(r"[0-9a-f]{64}", (STATIC / "plotly-basic.md").read_text())
    assert stated is not None
    assert (hint, hashlib.sha256(published).hexdigest()) == (b"//# allFunctionsCalledOnLoad", stated[0])


def test_plotly_is_served() -> None:
    assert finders.find("plotly-basic.min.js") == str(STATIC / "plotly-basic.min.js")
