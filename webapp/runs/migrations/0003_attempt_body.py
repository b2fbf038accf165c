"""What an attempt says of itself: where its wall clock went, and what ran without a FLOP formula."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0003_pace")]

    operations = [migrations.AddField("attempt", "body", models.JSONField(null=True))]
