"""What a worker measured on itself: seconds per unit of each demand of a step, and of a start."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0002_queue")]

    operations = [
        migrations.AddField("worker", "pace", ArrayField(models.FloatField(), null=True)),
        migrations.AddField("worker", "startup_seconds", models.FloatField(null=True)),
    ]
