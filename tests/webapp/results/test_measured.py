"""The docs' table of what was measured is made from the evidence, and the methods' pages show the same."""

from __future__ import annotations

import importlib.util
from html import escape
from pathlib import Path

import pytest

from benchmarks import replicate
from tests.webapp.people import member
from training import catalog
from training.evidence import Evidence, evidence
from webapp.results import measured
from webapp.results.measured import BY_STUDY, NOT_RECORDED, NOT_RUN, Row

CLAIMED = [row.card.name for row in measured.rows()]
EST = catalog.card("est")


def with_effective(share: float) -> Evidence:
    """EST's evidence as if every run had recorded effective FLOPs: `share` of the executed, for the method's arm."""
    found = evidence("est")
    assert found is not None
    arms = []
    for arm in found.arms:
        of = share if arm.label == found.judged else 1.0
        runs = tuple(run.model_copy(update={"effective_flops": of * run.executed_flops}) for run in arm.runs)
        arms.append(arm.model_copy(update={"runs": runs}))
    return found.model_copy(update={"arms": tuple(arms)})


def test_the_table_in_the_docs_is_that_of_the_evidence() -> None:
    assert replicate.TABLE.read_text() == measured.markdown(), "run: python -m benchmarks.replicate --table"


def test_the_table_is_written_without_running_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicate, "TABLE", tmp_path / "measured.md")
    assert replicate.main(["--table"]) == 0
    assert (tmp_path / "measured.md").read_text() == measured.markdown()


def test_every_method_with_a_claim_has_a_line_and_the_baseline_none() -> None:
    lines = measured.markdown().splitlines()
    titles = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")][2:]
    assert titles == [card.title for card in catalog.cards().values() if card.claims]


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name in CLAIMED if evidence(name)])
def test_the_page_of_a_method_shows_what_the_table_says(name: str) -> None:
    page, row = member().get(f"/methods/{name}/").content.decode(), measured.row(catalog.card(name))
    for words in (row.saving, row.executed, row.effective, f"{row.bars} bars passed", row.verdict, row.command):
        assert escape(words) in page


@pytest.mark.django_db
@pytest.mark.parametrize("name", [name for name in CLAIMED if measured.row(catalog.card(name)).studies])
def test_a_method_without_evidence_says_that_its_study_judges_it(name: str) -> None:
    row, page = measured.row(catalog.card(name)), member().get(f"/methods/{name}/").content.decode()
    (study,) = catalog.studies_of(name)
    assert row.saving == BY_STUDY
    assert study.title in row.verdict
    assert importlib.util.find_spec(row.command.split()[2])
    assert f'Judged by a study, not by a reproduction of its own: <a href="/studies/{study.name}/">' in page


def test_a_method_that_nothing_has_judged_is_not_yet_run() -> None:
    row = Row(EST, None)
    assert (row.saving, row.verdict, row.command) == (NOT_RUN, NOT_RUN, "python -m benchmarks.replicate est")


def test_executed_and_effective_savings_stand_apart() -> None:
    kept, halved = Row(EST, with_effective(1.0)), Row(EST, with_effective(0.5))
    assert kept.executed == kept.effective == halved.executed == "20.8% [20.8, 20.8], n = 3"
    assert halved.effective == "60.4% [60.4, 60.4], n = 3"


def test_evidence_older_than_the_record_of_effective_flops_says_so() -> None:
    found = with_effective(1.0)
    runs = tuple(run.model_copy(update={"effective_flops": None}) for run in found.arms[0].runs)
    old = found.model_copy(update={"arms": (found.arms[0].model_copy(update={"runs": runs}), *found.arms[1:])})
    assert Row(EST, old).effective == NOT_RECORDED
    assert Row(EST, old).executed != NOT_RECORDED


def test_a_stroke_in_a_claim_does_not_break_the_table() -> None:
    assert measured.line(("a | b", "c")) == r"| a \| b | c |"
