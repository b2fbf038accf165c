"""The upload form: judges a text while it lies in its temporary file, and brings images into their one form."""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

from django import forms
from django.conf import settings
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db import connection
from django.template.defaultfilters import filesizeformat

from training.data.check import DataError, TextFacts, check_text
from training.data.images.pictures import MAX_SIDE
from training.data.images.uploads.canonical import ImageFacts, bring, is_archive
from training.data.images.uploads.found import MIN_SIDE
from webapp.datasets.models import Dataset
from webapp.datasets.uploads import folder, keep
from webapp.teams.models import Project
from webapp.text import line


class UploadForm(forms.Form):
    """One text, or one set of images, for one project; a good one leaves its `facts`, and in `file` what is kept."""

    project = forms.ModelChoiceField(Project.objects.none(), empty_label=None, to_field_name="slug", label="Project")
    name = forms.CharField(max_length=200, label="Name", validators=[line], help_text="what people will see")
    resolution = forms.IntegerField(
        required=False,
        min_value=MIN_SIDE,
        max_value=MAX_SIDE,
        label="Resolution",
        help_text="of images, in pixels a side: each is cut to a square around its middle and scaled to it; "
        "empty keeps them as they are, which needs squares of one size",
    )
    file = forms.FileField(
        label="File",
        help_text="a text in UTF-8; or images as one NPZ with the arrays images and labels, "
        "or as one ZIP with a folder of PNG or JPEG files for each class",
        max_length=255,
    )
    facts: TextFacts | ImageFacts

    def __init__(self, data: Any = None, files: Any = None, *, projects: Any) -> None:
        super().__init__(data, files)
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]

    def keep(self, owner: Any) -> Dataset:
        """Store what a valid form carries."""
        asked = {name: self.cleaned_data[name] for name in ("project", "name", "file")}
        return keep(self.facts, owner=owner, **asked)

    def clean_file(self) -> File[bytes]:
        file: UploadedFile[bytes] = self.cleaned_data["file"]
        size = file.size or 0
        if size > settings.DATASET_MAX_BYTES:
            limit = filesizeformat(settings.DATASET_MAX_BYTES)
            raise forms.ValidationError(f"the file has {filesizeformat(size)}; at most {limit} may be uploaded")
        if "resolution" in self.errors:
            return file
        if not connection.in_atomic_block:
            connection.close()  # to judge a large set takes minutes, in which others may have it
        try:
            return self._images(file) if is_archive(cast(BinaryIO, file)) else self._text(file)
        except DataError as refusal:
            if refusal.path != "data.resolution":
                raise forms.ValidationError(refusal.message) from refusal
            self.add_error("resolution", refusal.message)
            return file

    def _text(self, file: UploadedFile[bytes]) -> File[bytes]:
        self.facts = check_text(file.chunks(), name="the file, taken as a text,")
        if self.cleaned_data.get("resolution") is not None:
            self.add_error("resolution", "the file is a text, and only images have a resolution; leave it empty")
        return file

    def _images(self, file: UploadedFile[bytes]) -> File[bytes]:
        """The images in their one form, in a file without a name: it goes with the form."""
        kept = File(TemporaryFile(dir=folder()))  # noqa: SIM115 it is open as long as the form lives
        self.facts = bring(cast(BinaryIO, file), self.cleaned_data.get("resolution"), cast(BinaryIO, kept))
        return kept
