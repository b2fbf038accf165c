"""How a spec names data. Torch-free."""

from __future__ import annotations

TEXT = r"^(sotu|python-stdlib|wikitext-2|text:[A-Za-z0-9][\w.-]{0,99}|hf:[\w.-]+/[\w.-]+|dataset:[a-z0-9]{8,32})$"
"""Sources of text: shipped, fetched, in the data folder, of the hub, uploaded."""
DOMAIN = r"^(sotu|python-stdlib|wikitext-2|text:[A-Za-z0-9][\w.-]{0,99}|hf:[\w.-]+/[\w.-]+)$"
"""Second texts of a mixture: all of these but the uploaded ones, of which a run is handed one."""
DOMAIN_SOURCES = "use sotu, python-stdlib, wikitext-2, text:<name> or hf:<id>"
TEXT_SOURCES = (
    "use sotu, python-stdlib, wikitext-2, text:<name in the data folder>, dataset:<uploaded> or hf:<owner/name>"
)
SHIPPED = {"sotu": "State of the Union", "python-stdlib": "Python source code", "wikitext-2": "WikiText-2 (fetched)"}
"""Texts that need no upload, in words."""

IMAGES = r"^(digits|fashion-mnist|(npz|images):[A-Za-z0-9][\w.-]{0,99}|hf:[\w.-]+/[\w.-]+|dataset:[a-z0-9]{8,32})$"
"""Sources of images: shipped, in the data folder as an archive or as a folder, of the hub, uploaded."""
