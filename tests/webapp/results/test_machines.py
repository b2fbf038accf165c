"""Wall time depends on machines and on how they are used, and is compared only where those are the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.webapp.results.planted import comparison
from tests.webapp.results.test_savings import against_dense
from training.spec import RunSpec
from webapp.results.comparison import Comparison, Unit
from webapp.results.savings import findings
from webapp.results.verdict import Verdict


def on(machine: str, **changes: Any) -> Comparison:
    found = against_dense(0.9, 0.8, **changes)
    first, *others = found.arms[1].runs
    return comparison(found.arms[0], replace(found.arms[1], runs=(replace(first, machine=machine), *others)))


def test_wall_time_on_several_kinds_of_machine_is_not_compared() -> None:
    mixed = on("H200, 16 threads")
    assert findings(mixed)[0].judgement.verdict is Verdict.SAVES
    assert findings(mixed, Unit.SECONDS)[0].judgement.reasons == ("the runs were on 2 kinds of machine",)
    budget = findings(mixed)[0].budget
    assert budget is not None
    assert Unit.SECONDS not in budget.by_unit


def test_wall_time_with_and_without_compilation_is_not_compared() -> None:
    compiled = on("", spec=RunSpec(methods=("est",), compile=True))
    assert findings(compiled, Unit.SECONDS)[0].judgement.reasons == ("torch.compile is not the same in both arms",)
    assert findings(compiled)[0].judgement.verdict is Verdict.SAVES
