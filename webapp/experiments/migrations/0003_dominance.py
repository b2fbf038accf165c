"""An experiment may stop what is dominated, and may time an arm of another one again."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0002_forecast")]

    operations = [
        migrations.AddField("experiment", "stop_dominated", models.BooleanField(default=False)),
        migrations.AddField(
            "experiment",
            "retimes",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="retimings",
                to="experiments.arm",
            ),
        ),
    ]
