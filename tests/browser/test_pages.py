"""Every page, light and dark, wide and narrow: accessible, within its policy, within its window."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.browser.visitor import Scheme, Visitor

LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1280, 360)]


def _furnished() -> dict[str, str]:
    """Pages of a project in which things have happened, by name."""
    from tests.browser import furniture

    return furniture.pages()


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_every_page_is_accessible_fits_and_keeps_the_policy(visitor: Visitor, scheme: Scheme, width: int) -> None:
    pages = _furnished()
    visitor.sign_in()
    faults: dict[str, Any] = {}
    for name, path in pages.items():
        visitor.complaints.clear()
        visitor.look(path, scheme=scheme, width=width)
        visitor.photograph(f"{name}-{scheme}-{width}")
        found = [*visitor.violations(), *visitor.complaints, *visitor.misplaced()]
        found += [f"{visitor.overflow()} px too wide"] if visitor.overflow() > 0 else []
        faults |= {name: found} if found else {}
    assert not faults, json.dumps(faults, indent=1)


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_the_sign_in_page_is_accessible(visitor: Visitor, scheme: Scheme, width: int) -> None:
    visitor.look("/sign-in/", scheme=scheme, width=width)
    visitor.photograph(f"sign-in-{scheme}-{width}")
    assert [*visitor.violations(), *visitor.complaints] == []


def test_an_address_without_anything_says_so(visitor: Visitor) -> None:
    visitor.sign_in()
    visitor.look("/experiments/nothinghere2/", scheme="light", width=360)
    assert visitor.page.get_by_role("heading", name="Not found").is_visible()
    assert visitor.violations() == []


def test_an_empty_project_is_told_what_to_do(visitor: Visitor) -> None:
    visitor.sign_in()
    assert visitor.page.get_by_role("link", name="Define the first experiment").is_visible()
    assert visitor.violations() == []
