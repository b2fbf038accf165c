"""Forms of projects, members and tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.forms import AuthenticationForm, UsernameField
from django.utils import timezone
from django.utils.text import slugify

from webapp.teams.models import Project, Role
from webapp.text import line

LIFETIMES = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "a year"))


class SignInForm(AuthenticationForm):
    """Refuses a name that no account can have, before anybody looks for it or writes it down."""

    username = UsernameField(max_length=150, widget=forms.TextInput(attrs={"autofocus": True}))


class ProjectForm(forms.Form):
    """A new project; its address is made from its name."""

    name = forms.CharField(max_length=100, label="Name", validators=[line])

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not slugify(name):
            raise forms.ValidationError("the name needs a letter or a digit for its address")
        if Project.objects.filter(slug=slugify(name)[:60]).exists():
            raise forms.ValidationError("a project with this address exists already; choose another name")
        return name


class MemberForm(forms.Form):
    """Somebody who already has an account, and what they may do."""

    username = forms.CharField(max_length=150, label="User name")
    role = forms.ChoiceField(choices=Role.choices, initial=Role.MEMBER, label="Role")

    def clean_username(self) -> Any:
        user = get_user_model().objects.filter(username=self.cleaned_data["username"], is_active=True).first()
        if user is None:
            raise forms.ValidationError("nobody has this user name; the operator makes accounts")
        return user


class TokenForm(forms.Form):
    """What a new token is for and how long it lives."""

    name = forms.CharField(max_length=60, label="What is it for?", validators=[line])
    days = forms.TypedChoiceField(coerce=int, choices=LIFETIMES, initial=90, label="Expires after")

    def clean_days(self) -> Any:
        return timezone.now() + timedelta(days=self.cleaned_data["days"])
