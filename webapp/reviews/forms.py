"""What people write: the report itself, a comment, a decision."""

from __future__ import annotations

from django import forms

from webapp.reviews.syntax import LONGEST
from webapp.text import line, readable


class ReportForm(forms.Form):
    """`revision` is the one the text was read at, so that nobody writes over another's changes unseen."""

    title = forms.CharField(max_length=200, validators=[line])
    body = forms.CharField(
        label="Text",
        max_length=LONGEST,
        strip=False,
        validators=[readable],
        widget=forms.Textarea({"rows": 26, "class": "mono", "spellcheck": "true"}),
    )
    revision = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)


class CommentForm(forms.Form):
    """`anchor` names an embed; empty for the whole report."""

    anchor = forms.ChoiceField(label="About", required=False)
    text = forms.CharField(label="Comment", max_length=2000, validators=[readable], widget=forms.Textarea({"rows": 3}))

    def __init__(self, *args: object, anchors: list[tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["anchor"].choices = anchors  # type: ignore[attr-defined]


class DecisionForm(forms.Form):
    """Accept or return what was frozen as `revision`."""

    revision = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    sentence = forms.CharField(
        label="Your decision in a sentence",
        max_length=1000,
        validators=[readable],
        widget=forms.Textarea({"rows": 3}),
    )
    despite = forms.CharField(
        label="Why accept it with open items",
        required=False,
        max_length=1000,
        validators=[readable],
        widget=forms.Textarea({"rows": 2}),
        help_text="Shown with the report.",
    )
    verdict = forms.ChoiceField(choices=[("accept", "Accept"), ("return", "Return")], widget=forms.HiddenInput)

    def __init__(self, *args: object, has_open_items: bool, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        if not has_open_items:
            del self.fields["despite"]
