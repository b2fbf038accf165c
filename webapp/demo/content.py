"""What a demo shows: a project, somebody who may sign in, and the experiment that runs."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.contrib.auth import get_user_model
from django.utils import timezone

from training import catalog
from training.spec import Budget, DataSpec, RunSpec
from webapp.demo.home import Home, Login
from webapp.experiments import services
from webapp.experiments.baselines import completed
from webapp.experiments.models import Experiment
from webapp.teams.models import Membership, Project, Role, Token

LONG = RunSpec(budget=Budget(steps=400))
"""What the arms share: a small GPT-2 on State of the Union addresses, every downstream task."""
QUICK = RunSpec(
    data=DataSpec(context=32), batch_size=4, budget=Budget(steps=20), eval_points=2, evals=("cloze",)
)  # fmt: skip
"""To try the demo itself: says nothing about the methods."""
TITLE = "Does EST save FLOPs on State of the Union?"


def project() -> Project:
    """The demo's project, made once."""
    return Project.objects.get_or_create(slug="demo", defaults={"name": "Demo"})[0]


def login(home: Home) -> Login:
    """Somebody who may do everything in the demo's project; what is kept in `home` holds on every start."""
    kept = home.login() or Login("demo", secrets.token_urlsafe(15), "")
    user, _ = get_user_model().objects.update_or_create(username=kept.username, defaults={"is_staff": True})
    if not user.check_password(kept.password):
        user.set_password(kept.password)
        user.save()
    Membership.objects.update_or_create(project=project(), user=user, defaults={"role": Role.ADMIN})
    if not Token.objects.filter(digest=Token.digest_of(kept.token), expires_at__gt=timezone.now()).exists():
        _, secret = Token.issue(user, "demo", timezone.now() + timedelta(days=90))
        kept = Login(kept.username, kept.password, secret)
    home.keep(kept)
    return kept


def experiment(username: str, *, spec: RunSpec, again: bool) -> Experiment:
    """EST and its matched dense baselines, three seeds each; launched once, unless `again`."""
    kept = Experiment.objects.filter(project=project(), title=TITLE, archived_at=None).order_by("-id").first()
    if kept is not None and not again:
        return kept
    knobs = {"est": (catalog.card("est").presets or {})["est-gpt2"]}
    est = RunSpec.model_validate({**spec.model_dump(), "methods": ("est",), "knobs": knobs})
    return services.launch(
        project=project(),
        owner=get_user_model().objects.get(username=username),
        title=TITLE,
        question="The same small GPT-2 and the same text: what does EST save of as many steps, and of as many FLOPs?",
        arms=completed([services.ArmRequest("EST", est)], add=True),
        seeds=range(3),
        queue="cpu",
    )
