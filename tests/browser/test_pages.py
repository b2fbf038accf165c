"""Every page, light and dark, wide and narrow: accessible, within its policy, within its window."""

from __future__ import annotations

from collections.abc import Callable
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
        found = [*visitor.violations(), *visitor.complaints]
        found += [f"{visitor.overflow()} px too wide"] if visitor.overflow() > 0 else []
        faults |= {name: found} if found else {}
    assert faults == {}


@pytest.mark.parametrize("open_page", [lambda v: v.page.goto("/sign-in/")], ids=["sign-in"])
def test_the_sign_in_page_is_accessible(visitor: Visitor, open_page: Callable[[Visitor], Any]) -> None:
    open_page(visitor)
    visitor.photograph("sign-in-light-1280")
    assert [*visitor.violations(), *visitor.complaints] == []


def test_an_empty_project_is_told_what_to_do(visitor: Visitor) -> None:
    visitor.sign_in()
    assert visitor.page.get_by_role("link", name="Define the first experiment").is_visible()
    assert visitor.violations() == []
