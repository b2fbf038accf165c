"""The upload form: judges a text while it lies in its temporary file."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat

from training.data.check import DataError, TextFacts, check_text
from webapp.teams.models import Project


class UploadForm(forms.Form):
    """One UTF-8 text for one project; a good one leaves its `facts`."""

    project = forms.ModelChoiceField(Project.objects.none(), empty_label=None, to_field_name="slug", label="Project")
    name = forms.CharField(max_length=200, label="Name", help_text="what people will see")
    file = forms.FileField(label="Text file", help_text="plain text, UTF-8", max_length=255)
    facts: TextFacts

    def __init__(self, data: Any = None, files: Any = None, *, projects: Any) -> None:
        super().__init__(data, files)
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]

    def clean_file(self) -> UploadedFile[bytes]:
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        size = file.size or 0
        if size > settings.DATASET_MAX_BYTES:
            limit = filesizeformat(settings.DATASET_MAX_BYTES)
            raise forms.ValidationError(f"the file has {filesizeformat(size)}; at most {limit} may be uploaded")
        try:
            self.facts = check_text(file.chunks())
        except DataError as refusal:
            raise forms.ValidationError(refusal.message) from refusal
        return file
