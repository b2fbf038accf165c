"""A snapshot is kept as it was taken: a trigger refuses updates."""

from __future__ import annotations

from django.db import migrations

KEEP = """
CREATE FUNCTION keep_snapshot() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a snapshot is kept as it was taken'; END $$;
CREATE TRIGGER keep_snapshot BEFORE UPDATE ON reviews_snapshot FOR EACH ROW EXECUTE FUNCTION keep_snapshot();
"""
RELEASE = "DROP TRIGGER keep_snapshot ON reviews_snapshot; DROP FUNCTION keep_snapshot();"


class Migration(migrations.Migration):
    dependencies = [("reviews", "0001_initial")]

    operations = [migrations.RunSQL(KEEP, RELEASE)]
