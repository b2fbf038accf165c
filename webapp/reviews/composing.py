"""Puts a report together from what its experiment shows now, and its first draft from what was computed."""

from __future__ import annotations

from datetime import datetime

from webapp.experiments.models import Arm, Experiment
from webapp.results import selectors, wording
from webapp.results.comparison import Comparison
from webapp.results.savings import findings
from webapp.reviews.checklist import checklist
from webapp.reviews.document import ArmMark, Document, RunMark
from webapp.reviews.embeds import Gallery
from webapp.reviews.models import Report
from webapp.reviews.syntax import Reference, parse, quoted


def compose(report: Report, at: datetime) -> Document:
    """The report with its data as of now. Raises BadReport where its text embeds what there is not."""
    references = [part for part in parse(report.body) if isinstance(part, Reference)]
    experiment = report.experiment
    comparison = selectors.comparison(experiment)
    return Document(
        report=report.code,
        revision=report.revision,
        title=report.title,
        author=report.author.get_username() if report.author else "",
        experiment=experiment.code,
        experiment_title=experiment.title,
        question=experiment.question,
        at=at,
        body=report.body,
        answers=tuple(_answers(comparison)),
        progress=wording.progress([run.state for run in comparison.runs]),
        embeds=Gallery(comparison).embeds(references),
        checklist=checklist(comparison),
        arms=_arms(experiment, comparison),
    )


def _answers(comparison: Comparison) -> list[str]:
    return [" ".join((said.strong, *said.sentences)) for said in wording.answers(findings(comparison))]


def _arms(experiment: Experiment, comparison: Comparison) -> tuple[ArmMark, ...]:
    digests = dict(Arm.objects.filter(experiment=experiment).values_list("code", "digest"))
    return tuple(
        ArmMark(
            label=arm.label,
            code=arm.code,
            digest=digests[arm.code],
            runs=tuple(RunMark(code=run.code, seed=run.seed, state=run.state) for run in arm.runs),
        )
        for arm in comparison.arms
    )


def proofread(body: str, experiment: Experiment) -> None:
    """Raises BadReport unless the text can be shown with this experiment."""
    references = [part for part in parse(body) if isinstance(part, Reference)]
    Gallery(selectors.comparison(experiment)).embeds(references)


def draft(experiment: Experiment) -> str:
    """The computed answer as prose to start from, then the charts and tables it rests on."""
    comparison = selectors.comparison(experiment)
    answers = [quoted(text) for text in _answers(comparison)] or ["Nothing to compare yet."]
    parts = [
        "# Answer",
        *answers,
        "{{ chart savings unit=executed }}",
        "# Evidence",
        *([quoted(experiment.question)] if experiment.question.strip() else []),
        "{{ table arms }}",
        "{{ chart curves unit=executed }}",
        "# What it cost",
        "{{ chart ledger unit=executed }}",
        "# Limits",
        quoted(f"Not counted: {wording.NOT_COUNTED}."),
    ]
    return "\n\n".join(parts) + "\n"
