"""Opaque public ids: what a URL shows instead of a row number."""

from __future__ import annotations

import secrets

ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
"""No 0, o, 1, i or l, so that a code can be read aloud."""


def new_code() -> str:
    """Twelve characters, about 59 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(12))
