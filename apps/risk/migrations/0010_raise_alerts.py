"""From assessments to alerts in cases, behind the lock of the tenant's cases, in one message to the database."""

from django.db import migrations

from tenancy.operations import make_function

SIGNATURE = "risk_raise_alerts(integer, jsonb, jsonb)"
# Volatile, so that the second statement sees what was committed while the first one waited for the lock. It runs with
# its caller's rights, so row-level security holds.
#
# `alerts` are in the order in which their cases are numbered; each brings the ids of the case and of the event of the
# case that it may open. `times` are the seconds to decide by severity: the worse, the fewer. Gives a row for each new
# alert, with the case that it is in now.
#
# OFFSET 0 and LATERAL have each alert looked up by index: the planner counts on a hundred of them, of which there is
# nearly always one, and would read all alerts and cases of the tenant for them.
RAISE = """
    CREATE FUNCTION risk_raise_alerts(tenant integer, alerts jsonb, times jsonb)
    RETURNS TABLE (alert_id uuid, is_opened boolean, id uuid, number integer, subject_key bytea, status text,
        severity text, assignee text, release_asked_by text, opened_at timestamptz, due_at timestamptz)
    LANGUAGE plpgsql VOLATILE ROWS 5 AS $$
    #variable_conflict use_column
    DECLARE
        moment timestamptz;
    BEGIN
        -- The same as of `cases.raising.lock_cases`.
        PERFORM pg_advisory_xact_lock(hashtext('risk_case'), tenant);
        moment := clock_timestamp();
        RETURN QUERY
            WITH untold AS MATERIALIZED (
                SELECT * FROM ROWS FROM (jsonb_to_recordset(alerts) AS (id uuid, case_id uuid, event_id uuid,
                    transaction_id text, decision_id uuid, subject_key bytea, severity text, verdict text,
                    score double precision, amount double precision, currency text, reasons jsonb, rules jsonb,
                    occurred_at timestamptz)) WITH ORDINALITY AS told(id, case_id, event_id, transaction_id,
                    decision_id, subject_key, severity, verdict, score, amount, currency, reasons, rules, occurred_at,
                    place)
                WHERE NOT EXISTS (SELECT FROM risk_alert AS known
                    WHERE tenant_id = tenant AND known.transaction_id = told.transaction_id OFFSET 0)
            ), new AS MATERIALIZED (
                SELECT untold.*, (times ->> severity)::double precision AS seconds, under_way,
                    coalesce(main.subject_key, untold.subject_key) AS case_key
                FROM untold, LATERAL (SELECT EXISTS (SELECT FROM risk_case AS known WHERE tenant_id = tenant
                        AND known.subject_key = untold.subject_key AND closed_at IS NULL OFFSET 0)) AS own(under_way)
                    LEFT JOIN LATERAL (
                        -- Locked, so that it is not closed while an alert is put into it.
                        SELECT main.subject_key
                        FROM risk_case AS merged JOIN risk_case AS main
                            ON main.tenant_id = tenant AND main.id = merged.merged_into_id
                        WHERE NOT under_way AND merged.tenant_id = tenant AND merged.merged_into_id IS NOT NULL
                            AND merged.subject_key = untold.subject_key AND main.closed_at IS NULL
                        ORDER BY main.id DESC LIMIT 1 FOR UPDATE OF main
                    ) AS main ON true
            ), wanted AS MATERIALIZED (
                SELECT case_key, (array_agg(case_id ORDER BY place))[1] AS case_id,
                    (array_agg(event_id ORDER BY place))[1] AS event_id,
                    (array_agg(severity ORDER BY seconds))[1] AS severity, min(seconds) AS seconds,
                    count(*) AS alert_count, left(string_agg(transaction_id, ', ' ORDER BY place), 200) AS told,
                    row_number() OVER (ORDER BY bool_or(under_way OR case_key <> subject_key), min(place)) AS place
                FROM new GROUP BY case_key
            ), held AS (
                -- Whoever joins a case leaves its number unused, and so comes behind those who open one.
                INSERT INTO risk_case AS known (tenant_id, id, number, subject_key, status, severity, assignee,
                    release_asked_by, alert_count, version, opened_at, due_at)
                SELECT tenant, case_id, place
                        + (SELECT coalesce(max(number), 0) FROM risk_case WHERE tenant_id = tenant),
                    case_key, 'open', severity, '', '', alert_count, 1, moment, moment + make_interval(secs => seconds)
                FROM wanted ORDER BY place
                ON CONFLICT (tenant_id, subject_key) WHERE closed_at IS NULL DO UPDATE SET
                    severity = CASE
                        WHEN (times ->> excluded.severity)::double precision
                            < (times ->> known.severity)::double precision
                        THEN excluded.severity ELSE known.severity END,
                    due_at = least(known.due_at, excluded.due_at),
                    alert_count = known.alert_count + excluded.alert_count,
                    version = known.version + 1
                RETURNING known.id, known.number, known.subject_key, known.status, known.severity, known.assignee,
                    known.release_asked_by, known.opened_at, known.due_at
            ), noted AS (
                INSERT INTO risk_caseevent (tenant_id, id, case_id, kind, actor, before, after, note, created_at)
                SELECT tenant, event_id, held.id, CASE WHEN held.id = case_id THEN 'opened' ELSE 'alerted' END,
                    'assessment', '', told, '', moment
                FROM wanted JOIN held ON held.subject_key = case_key
            ), raised AS (
                INSERT INTO risk_alert (tenant_id, id, case_id, transaction_id, decision_id, subject_key, severity,
                    verdict, score, amount, currency, reasons, rules, occurred_at, created_at)
                SELECT tenant, new.id, held.id, transaction_id, decision_id, new.subject_key, new.severity, verdict,
                    score, amount, currency, reasons, rules, occurred_at, moment
                FROM new JOIN held ON held.subject_key = case_key
            )
            SELECT new.id, held.id = wanted.case_id, held.id, held.number, held.subject_key, held.status::text,
                held.severity::text, held.assignee::text, held.release_asked_by::text, held.opened_at, held.due_at
            FROM new JOIN wanted USING (case_key) JOIN held ON held.subject_key = case_key
            ORDER BY new.place;
    END $$"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0009_amounts_in_one_currency"), ("tenancy", "0004_key_creators")]

    operations = [make_function(SIGNATURE, RAISE)]
