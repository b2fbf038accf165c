"""What a name that others will read may not hold, by form as by REST."""

from __future__ import annotations

import pytest
from django import forms

from tests.webapp.experiments.filling import NEW, asked
from tests.webapp.people import member
from webapp.datasets.forms import UploadForm
from webapp.experiments.models import Experiment
from webapp.reviews.forms import CommentForm, ReportForm
from webapp.teams.forms import ProjectForm, TokenForm
from webapp.text import REFUSED

TURNED = "loss \u202e2.1 saves"
"""Reads as another number than it is."""


@pytest.mark.django_db
@pytest.mark.parametrize("field", ["title", "question", "arms.0.label"])
def test_an_experiment_with_hidden_characters_is_refused_at_its_field(field: str) -> None:
    client = member()
    answer = client.post(NEW, asked(client) | {field: TURNED})
    assert (answer.status_code, Experiment.objects.count()) == (422, 0)
    assert answer.context["form"].errors[field] == [REFUSED]
    assert TURNED in answer.content.decode()


@pytest.mark.parametrize(
    ("form", "field"),
    [(UploadForm, "name"), (ReportForm, "title"), (ReportForm, "body"), (ProjectForm, "name"), (TokenForm, "name")],
)
def test_every_name_is_held_to_the_same(form: type[forms.Form], field: str) -> None:
    with pytest.raises(forms.ValidationError, match=REFUSED):
        form.base_fields[field].clean(TURNED)


def test_prose_may_have_several_lines() -> None:
    typed = CommentForm({"anchor": "", "text": "first\r\n\tsecond"}, anchors=[("", "all")])
    assert typed.is_valid(), typed.errors
