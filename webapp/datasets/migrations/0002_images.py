"""A data set may be images, with what every one of them has."""

from __future__ import annotations

from django.db import migrations, models

KINDS = [("text", "Text"), ("images", "Images")]


class Migration(migrations.Migration):
    dependencies = [("datasets", "0001_initial")]

    operations = [
        migrations.AddField(
            "dataset", "kind", models.CharField(choices=KINDS, db_default="text", default="text", max_length=10)
        ),
        migrations.AddField("dataset", "images", models.IntegerField(null=True)),
        migrations.AddField("dataset", "classes", models.IntegerField(null=True)),
        migrations.AddField("dataset", "resolution", models.IntegerField(null=True)),
        migrations.AddField("dataset", "channels", models.IntegerField(null=True)),
        migrations.AddConstraint(
            "dataset",
            models.CheckConstraint(
                condition=models.Q(
                    channels__isnull=True, classes__isnull=True, images__isnull=True, kind="text",
                    resolution__isnull=True,
                ) | models.Q(
                    channels__in=(1, 3), classes__gt=1, images__gt=0, kind="images", resolution__gt=0,
                ),
                name="images_say_their_sizes",
            ),
        ),
    ]
