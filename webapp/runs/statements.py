"""The SQL of the run protocol. Every statement is safe alone; PostgreSQL's clock is the only one that counts."""

from __future__ import annotations

CLAIM = """
WITH busy AS (
    SELECT experiment.project_id, count(*) AS running
    FROM runs_run run
    JOIN experiments_arm arm ON arm.id = run.arm_id
    JOIN experiments_experiment experiment ON experiment.id = arm.experiment_id
    WHERE run.state IN ('starting', 'running', 'finalizing')
    GROUP BY experiment.project_id
), candidate AS (
    SELECT run.id, run.state AS was
    FROM runs_run run
    JOIN experiments_arm arm ON arm.id = run.arm_id
    JOIN experiments_experiment experiment ON experiment.id = arm.experiment_id
    LEFT JOIN busy ON busy.project_id = experiment.project_id
    WHERE run.state = 'queued' AND run.queue = %(queue)s AND run.pause_requested_at IS NULL
        AND run.cancel_requested_at IS NULL AND run.not_before <= clock_timestamp()
        AND NOT EXISTS (SELECT 1 FROM runs_worker WHERE name = %(worker)s AND draining)
    ORDER BY run.priority DESC, coalesce(busy.running, 0), run.id
    LIMIT 1
    FOR UPDATE OF run SKIP LOCKED
), claimed AS (
    UPDATE runs_run run SET
        state = 'starting', fence = fence + 1, attempt = attempt + 1,
        attempts_no_progress = attempts_no_progress + 1, event_seq = event_seq + 1,
        lease_owner = %(worker)s, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
    FROM candidate WHERE run.id = candidate.id
    RETURNING run.id, run.code, run.fence, run.attempt
), attempted AS (
    INSERT INTO runs_attempt (run_id, n, fence, worker, started_at, exit_class)
    SELECT id, attempt, fence, %(worker)s, clock_timestamp(), '' FROM claimed
), noted AS (
    INSERT INTO runs_runevent (run_id, was, now, at, actor, note)
    SELECT id, 'queued', 'starting', clock_timestamp(), %(worker)s, 'attempt ' || attempt FROM claimed
)
SELECT id, code, fence, attempt FROM claimed
"""
"""Order: priority, then the project with the fewest running runs, then age. The attempt is counted here, so that even
a crash at the next instruction counts."""

HEARTBEAT = """
UPDATE runs_run run SET lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE id = %(run)s AND fence = %(fence)s AND state IN ('starting', 'running', 'finalizing')
RETURNING cancel_requested_at IS NOT NULL, pause_requested_at IS NOT NULL,
    coalesce((SELECT draining FROM runs_worker WHERE name = run.lease_owner), false)
"""

RAISE_SEQ = """
UPDATE runs_run SET event_seq = event_seq + 1
WHERE id = %(run)s AND fence = %(fence)s AND state IN ('starting', 'running', 'finalizing')
RETURNING event_seq
"""
"""First in every write of a trainer: fence check, order and event number in one row lock, held to the commit."""

ADVANCE = """
UPDATE runs_run SET phase = %(phase)s, step = %(step)s, progress = %(progress)s
WHERE id = %(run)s
"""

SERIES = """
INSERT INTO runs_series (run_id, phase, name)
SELECT DISTINCT %(run)s::bigint, phase, name FROM unnest(%(phase)s::text[], %(name)s::text[]) AS given(phase, name)
ON CONFLICT (run_id, phase, name) DO NOTHING
"""

POINTS = """
INSERT INTO runs_point
    (series_id, step, value, finite, flops, tokens, seconds, fence, event, superseded, at)
SELECT series.id, given.step, given.value, given.value IS NOT NULL, given.flops, given.tokens, given.seconds,
    %(fence)s, %(event)s, false, clock_timestamp()
FROM unnest(%(phase)s::text[], %(name)s::text[], %(step)s::bigint[], %(value)s::float8[], %(flops)s::float8[],
    %(tokens)s::bigint[], %(seconds)s::float8[]) AS given(phase, name, step, value, flops, tokens, seconds)
JOIN runs_series series ON series.run_id = %(run)s AND series.phase = given.phase AND series.name = given.name
ON CONFLICT (series_id, step) DO UPDATE SET
    value = excluded.value, finite = excluded.finite, flops = excluded.flops, tokens = excluded.tokens,
    seconds = excluded.seconds, fence = excluded.fence, event = excluded.event, superseded = false, at = excluded.at
WHERE excluded.fence >= runs_point.fence
"""

COSTS = """
INSERT INTO runs_costline (run_id, phase, purpose, executed, effective, wall_seconds, examples, tokens)
SELECT %(run)s::bigint, * FROM unnest(%(phase)s::text[], %(purpose)s::text[], %(executed)s::float8[],
    %(effective)s::float8[], %(wall_seconds)s::float8[], %(examples)s::bigint[], %(tokens)s::bigint[])
ON CONFLICT (run_id, phase, purpose) DO UPDATE SET
    executed = excluded.executed, effective = excluded.effective, wall_seconds = excluded.wall_seconds,
    examples = excluded.examples, tokens = excluded.tokens
"""

TOTALS = """
UPDATE runs_run run SET executed_flops = bill.executed, effective_flops = bill.effective,
    wall_seconds = bill.wall_seconds, tokens = bill.tokens
FROM (
    SELECT coalesce(sum(executed), 0) AS executed, coalesce(sum(effective), 0) AS effective,
        coalesce(sum(wall_seconds), 0) AS wall_seconds, coalesce(sum(tokens), 0) AS tokens
    FROM runs_costline WHERE run_id = %(run)s AND NOT purpose = ANY(%(outside)s)
) bill
WHERE run.id = %(run)s
"""
"""What training has cost so far: evaluation and redone work left out."""

SUPERSEDE = """
UPDATE runs_point SET superseded = true
WHERE series_id IN (SELECT id FROM runs_series WHERE run_id = %(run)s)
    AND event > %(event)s AND fence < %(fence)s
"""

RETURN = """
WITH held AS (
    SELECT id, state AS was, fence FROM runs_run
    WHERE state IN ('starting', 'running', 'finalizing') AND CASE
        WHEN %(run)s::bigint IS NOT NULL THEN id = %(run)s AND fence = %(fence)s
        ELSE lease_until < clock_timestamp()
            AND clock_timestamp() > pg_postmaster_start_time() + make_interval(secs => %(lease)s) END
    FOR UPDATE
), returned AS (
    UPDATE runs_run run SET
        state = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN attempts_no_progress >= %(most)s OR attempt >= %(cap)s THEN 'quarantined' ELSE 'queued' END,
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR attempts_no_progress >= %(most)s
            OR attempt >= %(cap)s THEN clock_timestamp() END,
        failure = CASE WHEN cancel_requested_at IS NULL THEN %(exit_class)s ELSE '' END,
        failure_text = CASE WHEN cancel_requested_at IS NULL THEN %(text)s ELSE '' END,
        not_before = clock_timestamp() + (0.8 + 0.4 * random()) * make_interval(secs =>
            (%(backoff)s::float8[])[least(greatest(attempts_no_progress, 1), cardinality(%(backoff)s::float8[]))]),
        lease_owner = '', lease_until = NULL, event_seq = event_seq + 1
    FROM held WHERE run.id = held.id
    RETURNING run.id, held.was, run.state, held.fence, run.step
), ended AS (
    UPDATE runs_attempt attempt
    SET ended_at = clock_timestamp(), exit_class = %(exit_class)s, signal = %(signal)s, last_step = returned.step
    FROM returned WHERE attempt.run_id = returned.id AND attempt.fence = returned.fence
)
INSERT INTO runs_runevent (run_id, was, now, at, actor, note)
SELECT id, was, state, clock_timestamp(), %(actor)s, %(note)s FROM returned
RETURNING run_id
"""
"""A broken attempt, or all whose lease ran out: cancelled if asked, quarantined at the limit, else queued for later.

A restart of PostgreSQL reaps nobody: its clients get one lease of time to come back.
"""

RELEASE = """
WITH held AS (
    SELECT id, state AS was FROM runs_run
    WHERE id = %(run)s AND fence = %(fence)s AND state IN ('starting', 'running', 'finalizing')
    FOR UPDATE
), released AS (
    UPDATE runs_run run SET
        state = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled' ELSE 'queued' END,
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN clock_timestamp() END,
        attempts_no_progress = greatest(attempts_no_progress - 1, 0),
        not_before = clock_timestamp(), lease_owner = '', lease_until = NULL, event_seq = event_seq + 1
    FROM held WHERE run.id = held.id
    RETURNING run.id, held.was, run.state, run.fence, run.step
), ended AS (
    UPDATE runs_attempt attempt
    SET ended_at = clock_timestamp(), exit_class = 'released', last_step = released.step
    FROM released WHERE attempt.run_id = released.id AND attempt.fence = released.fence
)
INSERT INTO runs_runevent (run_id, was, now, at, actor, note)
SELECT id, was, state, clock_timestamp(), %(actor)s, 'released' FROM released
RETURNING now
"""

FINISH = """
WITH held AS (
    SELECT id, state AS was FROM runs_run
    WHERE id = %(run)s AND fence = %(fence)s AND state IN ('starting', 'running', 'finalizing')
    FOR UPDATE
), ended AS (
    UPDATE runs_run run SET
        state = CASE WHEN cancel_requested_at IS NOT NULL AND held.was <> 'finalizing' THEN 'cancelled'
            ELSE %(result)s END,
        failure = %(failure)s, failure_text = %(text)s, finished_at = clock_timestamp(),
        progress = CASE WHEN %(result)s = 'succeeded' THEN 1.0 ELSE progress END,
        peak_bytes = greatest(peak_bytes, %(peak_bytes)s), final_loss = %(final_loss)s,
        lease_owner = '', lease_until = NULL, event_seq = event_seq + 1
    FROM held WHERE run.id = held.id
    RETURNING run.id, held.was, run.state, run.fence, run.step
), closed AS (
    UPDATE runs_attempt attempt
    SET ended_at = clock_timestamp(), last_step = ended.step,
        exit_class = coalesce(nullif(%(failure)s, ''), ended.state)
    FROM ended WHERE attempt.run_id = ended.id AND attempt.fence = ended.fence
)
INSERT INTO runs_runevent (run_id, was, now, at, actor, note)
SELECT id, was, state, clock_timestamp(), %(actor)s, %(failure)s FROM ended
RETURNING now
"""
"""Exactly one terminal state: a cancel wins unless the run entered finalizing before it, in row-lock order."""

REGISTER = """
INSERT INTO runs_worker
    (name, queue, device, memory_bytes, flops_per_second, pace, startup_seconds, versions, heartbeat_at, draining)
VALUES (%(name)s, %(queue)s, %(device)s, %(memory_bytes)s, %(flops_per_second)s, %(pace)s::float8[],
    %(startup_seconds)s, %(versions)s, clock_timestamp(), false)
ON CONFLICT (name) DO UPDATE SET
    queue = excluded.queue, device = excluded.device, memory_bytes = excluded.memory_bytes,
    flops_per_second = coalesce(excluded.flops_per_second, runs_worker.flops_per_second),
    pace = coalesce(excluded.pace, runs_worker.pace),
    startup_seconds = coalesce(excluded.startup_seconds, runs_worker.startup_seconds), versions = excluded.versions,
    heartbeat_at = excluded.heartbeat_at, draining = false
"""

DEMAND = """
SELECT waiting.queue, least(waiting.runs, idle.workers)
FROM (
    SELECT queue, count(*) AS runs FROM runs_run
    WHERE state = 'queued' AND pause_requested_at IS NULL AND not_before <= clock_timestamp() GROUP BY queue
) waiting
JOIN (
    SELECT queue, count(*) AS workers FROM runs_worker worker
    WHERE NOT draining AND heartbeat_at > clock_timestamp() - make_interval(secs => %(lease)s)
        AND NOT EXISTS (SELECT 1 FROM runs_run WHERE lease_owner = worker.name)
    GROUP BY queue
) idle ON idle.queue = waiting.queue
"""
"""Queues with claimable runs and idle workers, and how many of both."""

ALIVE = """
SELECT queue, count(*) FROM runs_worker
WHERE NOT draining AND heartbeat_at > clock_timestamp() - make_interval(secs => %(lease)s) GROUP BY queue
"""

SINCE = """
SELECT point.event, series.phase, series.name, point.step, point.value, point.flops, point.tokens, point.seconds
FROM runs_point point JOIN runs_series series ON series.id = point.series_id
WHERE series.run_id = %(run)s AND point.event > %(after)s AND point.event <= %(upto)s AND NOT point.superseded
ORDER BY point.event, point.series_id, point.step
LIMIT %(most)s
"""
"""Up to an event that was read first: events commit in order, so nothing below it can still appear."""
