"""The two reads of a comparison that the ORM cannot say."""

from __future__ import annotations

STAMP = """
WITH runs AS (
    SELECT run.* FROM runs_run AS run JOIN experiments_arm AS arm ON arm.id = run.arm_id
    WHERE arm.experiment_id = %(experiment)s
)
SELECT md5(concat_ws(E'\\n',
    (SELECT row(experiment.*)::text FROM experiments_experiment AS experiment WHERE id = %(experiment)s),
    (SELECT string_agg(row(arm.*)::text, E'\\n' ORDER BY id) FROM experiments_arm AS arm
        WHERE experiment_id = %(experiment)s),
    (SELECT string_agg(row(run.*)::text, E'\\n' ORDER BY id) FROM runs AS run),
    (SELECT string_agg(row(line.*)::text, E'\\n' ORDER BY line.id)
        FROM runs_costline AS line WHERE run_id IN (SELECT id FROM runs)),
    (SELECT string_agg(row(score.*)::text, E'\\n' ORDER BY score.id)
        FROM runs_score AS score WHERE run_id IN (SELECT id FROM runs))
))
"""
"""Whole rows, so that a column added later is in it."""
EVALUATIONS = """
SELECT series.run_id, series.phase, series.name,
    string_agg(int8send(step) || int8send(tokens) || float8send(flops) || float8send(seconds)
        || float8send(CASE WHEN finite THEN coalesce(value, 'NaN') ELSE 'NaN' END), ''::bytea)
FROM runs_series AS series JOIN runs_point AS point ON point.series_id = series.id
WHERE series.run_id = ANY(%(runs)s) AND series.name = ANY(%(names)s) AND NOT superseded
GROUP BY series.id
ORDER BY min(flops), series.id
"""
"""A series a row, its points packed big-endian in no order: sorting them here would take as long as all the rest.

NaN where a loss was not finite.
"""
