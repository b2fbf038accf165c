"""An experiment may be a study, with what it found."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0003_dominance")]

    operations = [
        migrations.AddField("experiment", "study", models.CharField(blank=True, db_default="", default="", max_length=60)),
        migrations.AddField("experiment", "study_knobs", models.JSONField(db_default={}, default=dict)),
        migrations.CreateModel(
            name="Finding",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("body", models.JSONField()),
                ("until", models.DateTimeField()),
                (
                    "experiment",
                    models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, to="experiments.experiment"),
                ),
            ],
        ),
    ]
