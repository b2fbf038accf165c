"""Markdown of reports: what is shown, what is left out, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.reviews.syntax import DEEPEST, LONGEST, MOST, BadReport, Prose, Reference, parse, quoted


def html(body: str) -> str:
    return "".join(part.html for part in parse(body) if isinstance(part, Prose))


def test_an_embed_stands_between_its_prose() -> None:
    before, embed, after = parse("Before\n{{ chart savings unit=tokens }}\nAfter")
    assert embed == Reference("chart", "savings", "tokens", 2)
    assert (before, after) == (Prose("<p>Before</p>\n"), Prose("<p>After</p>\n"))


def test_embeds_that_follow_each_other_are_two() -> None:
    assert [part.name for part in parse("{{ table arms }}\n{{ chart curves }}") if isinstance(part, Reference)] == [
        "arms",
        "curves",
    ]


@pytest.mark.parametrize("wrong", ["{{ chart }}", "{{ picture arms }}", "{{ chart arms", "{{ chart arms size=3 }}"])
def test_a_wrong_embed_names_its_line(wrong: str) -> None:
    with pytest.raises(BadReport, match="line 3"):
        parse(f"One\n\n{wrong}\n")


def test_all_wrong_lines_are_named_at_once() -> None:
    with pytest.raises(BadReport) as refusal:
        parse("{{ a }}\n\n{{ b }}")
    assert [problem.partition(":")[0] for problem in refusal.value.problems] == ["line 1", "line 3"]


def test_an_embed_in_a_list_is_refused() -> None:
    with pytest.raises(BadReport, match="outside of lists"):
        parse("- {{ chart savings }}")


def test_an_embed_in_code_is_code() -> None:
    assert "{{ chart savings }}" in html("```\n{{ chart savings }}\n```")


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![x](https://elsewhere.example/x.png)",
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "<a href='javascript:alert(1)'>x</a>",
    ],
)
def test_nothing_that_acts_or_fetches_comes_through(attack: str) -> None:
    shown = html(attack)
    assert not any(tag in shown for tag in ("<script", "<img", '<a href="javascript', '<a href="data', "<a href='"))


@given(st.text(max_size=200))
def test_only_allowed_tags_come_out_of_any_text(text: str) -> None:
    try:
        shown = html(text)
    except BadReport:
        return
    assert "<script" not in shown.lower()
    assert "<img" not in shown.lower()


def test_a_link_tells_neither_opener_nor_rank() -> None:
    assert 'rel="noopener nofollow"' in html("[paper](https://arxiv.org/abs/2307.06440)")


def test_a_heading_is_one_level_below_the_title() -> None:
    assert html("# Answer\n\n###### Deep") == "<h2>Answer</h2>\n<h6>Deep</h6>\n"


def test_too_long_a_text_is_refused() -> None:
    with pytest.raises(BadReport, match="at most 50,000"):
        parse("x" * (LONGEST + 1))


def test_too_many_embeds_are_refused() -> None:
    with pytest.raises(BadReport, match="more than 20"):
        parse("{{ table arms }}\n" * (MOST + 1))


def test_nesting_ends() -> None:
    assert html(">" * 500 + " deep").count("<blockquote>") <= DEEPEST


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=60).filter(str.strip))
def test_quoted_text_shows_as_it_is_written(text: str) -> None:
    import html as entities

    shown = entities.unescape(html(quoted(text))).removeprefix("<p>").removesuffix("</p>\n")
    assert shown == " ".join(text.split())
