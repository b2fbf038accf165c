"""The forecast of every run, kept as it was made: a trigger refuses updates."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models
from django.db.models.functions import Now

KEEP = """
CREATE FUNCTION keep_forecast() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a forecast is kept as it was made'; END $$;
CREATE TRIGGER keep_forecast BEFORE UPDATE ON experiments_forecast FOR EACH ROW EXECUTE FUNCTION keep_forecast();
"""
RELEASE = "DROP TRIGGER keep_forecast ON experiments_forecast; DROP FUNCTION keep_forecast();"


class Migration(migrations.Migration):
    dependencies = [("experiments", "0001_initial"), ("runs", "0003_pace")]

    operations = [
        migrations.CreateModel(
            name="Forecast",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("run", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, to="runs.run")),
                ("family", models.CharField(max_length=60)),
                ("flops", models.FloatField()),
                ("unlearnt", models.FloatField(null=True)),
                ("seconds", models.FloatField(null=True)),
                ("low", models.FloatField(null=True)),
                ("high", models.FloatField(null=True)),
                ("evaluation", models.FloatField(null=True)),
                ("startup", models.FloatField(null=True)),
                ("kwh", models.FloatField(null=True)),
                ("money", models.FloatField(null=True)),
                ("history", models.IntegerField(default=0)),
                ("made_at", models.DateTimeField(db_default=Now())),
            ],
        ),
        migrations.RunSQL(KEEP, RELEASE),
    ]
