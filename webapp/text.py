"""Text that others will read: nothing in it may hide, or reorder what stands beside it."""

from __future__ import annotations

import unicodedata

from django.core.exceptions import ValidationError

HIDDEN = {"Cc", "Cf"}
"""Unicode categories of control and format characters."""
REFUSED = "control and invisible characters are not allowed"


def is_readable(text: str) -> bool:
    return all(unicodedata.category(character) not in HIDDEN or character in "\n\t" for character in text)


def is_line(text: str) -> bool:
    return is_readable(text) and "\n" not in text and "\t" not in text


def readable(text: str) -> None:
    """For fields of forms."""
    if not is_readable(text.replace("\r\n", "\n")):
        raise ValidationError(REFUSED)


def line(text: str) -> None:
    """For fields of forms that hold a title or a name."""
    if not is_line(text):
        raise ValidationError(REFUSED)
