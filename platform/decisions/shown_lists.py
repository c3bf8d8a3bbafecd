"""Lists that were shown and what was chosen from them, read from decisions and the log as training data.

A decision takes part if it kept the features of its items: `request["features"]` holds by name one value for each of
the first items, in the order served. So training reads what serving saw.
"""

import io
import tempfile
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
from django.db import connection
from django.utils import timezone

from behavior.models import Consent
from ml.data.ranked_lists import RankedLists, write_ranked_lists
from tenancy.scope import current_tenant_id

# Names are taken from the newest decisions; a client's own features beyond these are left out.
DECISIONS_ASKED = 200
MOST_FEATURES = 50

COUNT = """
    SELECT count(*) FROM (
        SELECT DISTINCT event.decision_id FROM behavior_event AS event
        JOIN decisions_decision AS decision USING (tenant_id, decision_id)
        WHERE tenant_id = %s AND event.decision_id IS NOT NULL AND event.item_id IS NOT NULL
            AND event.consent & %s <> 0 AND decision.request ? 'features'
        LIMIT %s
    ) AS list"""
NAMES = """
    SELECT name FROM (
        SELECT request -> 'features' AS features FROM decisions_decision
        WHERE tenant_id = %s AND decided_at >= %s AND request ? 'features' ORDER BY decision_id DESC LIMIT %s
    ) AS decision CROSS JOIN LATERAL jsonb_object_keys(features) AS name
    GROUP BY name ORDER BY count(*) DESC, name LIMIT %s"""
# An item that was chosen without consent would else count as passed over: such lists stay out as a whole.
COPY_LISTS = """
    COPY (
        WITH worth AS (SELECT * FROM unnest(%(types)s::text[], %(grades)s::float8[]) AS given(type, grade)),
        chosen AS (
            SELECT decision_id, item_id, max(grade) AS grade FROM behavior_event JOIN worth USING (type)
            WHERE tenant_id = %(tenant)s AND received_at >= %(since)s AND decision_id IS NOT NULL AND grade > 0
                AND item_id IS NOT NULL
            GROUP BY decision_id, item_id
        ),
        agreed AS (
            SELECT decision_id FROM behavior_event
            WHERE tenant_id = %(tenant)s AND received_at >= %(since)s AND decision_id IS NOT NULL
            GROUP BY decision_id HAVING bool_and(consent & %(training)s <> 0)
        )
        SELECT decision.decision_id, extract(epoch FROM decision.decided_at), shown.rank, coalesce(chosen.grade, 0),
            {columns}
        FROM decisions_decision AS decision JOIN agreed USING (decision_id)
        CROSS JOIN LATERAL ROWS FROM (jsonb_array_elements(decision.items), {arrays})
            WITH ORDINALITY AS shown(item, {columns}, rank)
        LEFT JOIN chosen ON chosen.decision_id = decision.decision_id AND chosen.item_id = shown.item ->> 'id'
        WHERE decision.tenant_id = %(tenant)s AND decision.decided_at >= %(since)s
            AND decision.request ? 'features' AND num_nonnulls({columns}) > 0
    ) TO STDOUT (FORMAT csv)"""


def count_lists(limit: int) -> int:
    """How many lists have an event that names them and an item, and may be learned from; counts to `limit`."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [current_tenant_id(), Consent.TRAINING, limit])
        count: int = cursor.fetchone()[0]
    return count


def take_shown_lists(path: Path, *, grades: Mapping[str, float], days: int) -> RankedLists:
    """Write the tenant's lists of the last `days` from which something was chosen.

    `grades` says by event type what a choice is worth; an item's best counts. Raises ValueError where there are none.
    """
    since = timezone.now() - timedelta(days=days)
    names = _feature_names(since)
    table = _read(names, since, grades)
    owner = table["decision"].combine_chunks().dictionary_encode().indices.to_numpy()
    grade = table["grade"].to_numpy()
    # A choice below the items whose features were kept says nothing of those above it.
    kept = (np.bincount(owner, weights=grade) > 0)[owner]
    if not kept.any():
        raise ValueError("no ranking has an event that names it and may be learned from; send decision_id with clicks")
    lists, list_of_row = np.unique(owner[kept], return_inverse=True)
    time = np.zeros(len(lists))
    time[list_of_row] = table["time"].to_numpy()[kept]
    return write_ranked_lists(
        path,
        list_of_row=list_of_row,
        time=time,
        rank=table["rank"].to_numpy()[kept],
        grade=grade[kept],
        features=np.column_stack([table[name].to_numpy()[kept] for name in _columns(names)]),
        names=list(names),
    )


def _feature_names(since: datetime) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(NAMES, [current_tenant_id(), since, DECISIONS_ASKED, MOST_FEATURES])
        return sorted(name for (name,) in cursor.fetchall())


def _columns(names: Sequence[str]) -> list[str]:
    """Names of features may hold anything, so columns go by number."""
    return [f"feature_{number}" for number in range(len(names))]


def _read(names: Sequence[str], since: datetime, grades: Mapping[str, float]) -> pa.Table:
    """decision, time, rank, grade and the features of each shown item: one read of decisions and events."""
    columns = _columns(names)
    if not columns:
        return _read_csv(io.BytesIO(), columns)
    arrays = [f"jsonb_array_elements_text(decision.request -> 'features' -> %({column})s)" for column in columns]
    asked: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "since": since,
        "training": int(Consent.TRAINING),
        "types": list(grades),
        "grades": [float(grade) for grade in grades.values()],
        **dict(zip(columns, names, strict=True)),
    }
    sql = COPY_LISTS.format(columns=", ".join(columns), arrays=", ".join(arrays))
    with tempfile.TemporaryFile() as file, connection.cursor() as cursor:
        with connection.wrap_database_errors, cursor.copy(sql, asked) as copy:
            for block in copy:
                file.write(block)
        return _read_csv(file, columns)


def _read_csv(file: IO[bytes], columns: Sequence[str]) -> pa.Table:
    kinds = {"decision": pa.string(), "time": pa.float64(), "rank": pa.int32(), "grade": pa.float64()}
    kinds |= dict.fromkeys(columns, pa.float32())
    if file.tell() == 0:
        return pa.table({name: pa.array([], kind) for name, kind in kinds.items()})
    file.seek(0)
    return pyarrow.csv.read_csv(
        file,
        pyarrow.csv.ReadOptions(column_names=list(kinds)),
        convert_options=pyarrow.csv.ConvertOptions(column_types=kinds, null_values=[""]),
    )
