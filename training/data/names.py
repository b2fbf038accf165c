"""How a spec names data. Torch-free."""

from __future__ import annotations

TEXT = r"^(sotu|wikitext-2|text:[A-Za-z0-9][\w.-]{0,99}|hf:[\w.-]+/[\w.-]+|dataset:[a-z0-9]{8,32})$"
"""Sources of text: shipped, fetched, in the data folder, of the hub, uploaded."""
