"""A report's markdown: prose becomes safe HTML; `{{ chart savings unit=executed }}` on a line of its own an embed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, cast

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

LONGEST = 50_000
"""Most characters of a body."""
DEEPEST = 12
"""Most levels of quotes and lists within each other; what lies deeper is left out."""
MOST = 20
"""Most embeds of a report: each is a figure with its data."""
EMBED = re.compile(r"\{\{ *(chart|table) +([a-z]+)(?: +unit=([a-z]+))? *\}\}")
TAGS = {
    "p",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "blockquote",
    "pre",
    "code",
    "em",
    "strong",
    "a",
    "hr",
    "br",
}
HOW = "write {{ chart name }}, {{ table name }} or {{ chart name unit=tokens }}"
Kind = Literal["chart", "table"]


@dataclass(frozen=True, slots=True)
class Reference:
    """An embed as the author wrote it; `unit` is empty where none was given."""

    kind: Kind
    name: str
    unit: str
    line: int


@dataclass(frozen=True, slots=True)
class Prose:
    """Safe HTML."""

    html: str


class BadReport(ValueError):
    """What is wrong with a report, each sentence naming its line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(self.problems))


def _embed(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The markdown rule: a line that begins with two braces, wherever it is not code."""
    text = state.src[state.bMarks[start] + state.tShift[start] : state.eMarks[start]].strip()
    if state.is_code_block(start) or not text.startswith("{{"):
        return False
    if not silent:
        token = state.push("embed", "", 0)
        token.content, token.map = text, [start, start + 1]
        state.line = start + 1
    return True


def _reader() -> MarkdownIt:
    """CommonMark without raw HTML and without images."""
    reader = MarkdownIt("commonmark", {"html": False, "maxNesting": DEEPEST}).disable("image")
    reader.block.ruler.before("paragraph", "embed", _embed, {"alt": ["paragraph", "blockquote", "list"]})
    return reader


READER = _reader()


def parse(body: str) -> list[Prose | Reference]:
    """The body's parts in order. Raises BadReport."""
    if len(body) > LONGEST:
        raise BadReport([f"the text has {len(body):,} characters, at most {LONGEST:,} are allowed"])
    tokens = READER.parse(body)
    problems = [problem for token in tokens if token.type == "embed" and (problem := _problem(token))]
    if sum(token.type == "embed" for token in tokens) > MOST:
        problems.append(f"more than {MOST} charts and tables")
    if problems:
        raise BadReport(problems)
    return list(_parts(tokens))


def _problem(token: Token) -> str:
    where = f"line {_line(token)}: "
    if token.level:
        return f"{where}a chart or table stands on a line of its own, outside of lists and quotes"
    return "" if EMBED.fullmatch(token.content) else f"{where}{token.content[:80]!r} is no embed; {HOW}"


def _line(token: Token) -> int:
    assert token.map is not None
    return token.map[0] + 1


def _parts(tokens: list[Token]) -> Iterator[Prose | Reference]:
    for is_embed, group in groupby(tokens, lambda token: token.type == "embed"):
        for found in [[token] for token in group] if is_embed else [list(group)]:
            yield _reference(found[0]) if is_embed else Prose(_safe(found))


def _reference(token: Token) -> Reference:
    match = EMBED.fullmatch(token.content)
    assert match is not None
    return Reference(cast(Kind, match[1]), match[2], match[3] or "", _line(token))


def _safe(tokens: list[Token]) -> str:
    """HTML from the allow-list; headings one level lower, as the report's title is the page's first."""
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
    html = READER.renderer.render(tokens, READER.options, {})
    return nh3.clean(
        html,
        tags=TAGS,
        attributes={"a": {"href", "title"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener nofollow",
    )


def quoted(text: str) -> str:
    """Plain text as one markdown paragraph that shows it as it is: what would mean something is escaped."""
    line = re.sub(r"([\\`*_\[\]<&])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(\d*)([-+#=>~.){])", r"\1\\\2", line)
