"""Draws a document: the article of its page, and one file that opens without the server."""

from __future__ import annotations

from pathlib import Path

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from webapp.reviews.document import Document, Embed
from webapp.reviews.models import Snapshot
from webapp.reviews.syntax import Prose, Reference, parse

STYLES = ("style.css", "results/compare.css", "reviews/report.css")
SCRIPTS = ("plotly-basic.min.js", "charts.js")


def article(document: Document, *, sha256: str = "", alone: bool = False) -> SafeString:
    """The report as HTML, from the document alone; `alone` leaves out links into the site."""
    context = {"document": document, "parts": _parts(document), "sha256": sha256, "alone": alone}
    return render_to_string("reviews/_document.html", context)


def _parts(document: Document) -> list[Prose | Embed]:
    embeds = iter(document.embeds)
    return [next(embeds) if isinstance(part, Reference) else part for part in parse(document.body)]


def export(snapshot: Snapshot) -> str:
    """A frozen report as one HTML file: styles, scripts and figures inside, nothing fetched."""
    context = {
        "document": snapshot.document,
        "article": article(snapshot.document, sha256=snapshot.sha256, alone=True),
        "style": _inlined(STYLES),
        "plotly": _inlined(SCRIPTS[:1]),
        "charts": _inlined(SCRIPTS[1:]),
    }
    return render_to_string("reviews/export.html", context)


def _inlined(names: tuple[str, ...]) -> SafeString:
    """Our own static files as they are; they would break out of the page only by a closing tag, which is refused."""
    found = [finders.find(name) for name in names]
    text = "\n".join(Path(str(path)).read_text(encoding="utf-8") for path in found)
    if "</script" in text or "</style" in text or "<!--" in text:
        raise ValueError(f"{names} cannot be written into a page")
    return mark_safe(text)  # noqa: S308
