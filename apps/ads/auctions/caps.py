"""How often and how recently a subject was shown each flight: exact, also where one subject asks many times at once.

What counts is what was seen, and what was placed and may still be seen. Whoever decides for a subject holds a lock on
it until the decision is stored, so that no other decision counts without it.
"""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from apps.ads.auctions.snapshot import Snapshot
from behavior.selectors import PERSON, person_values
from behavior.subjects import Subject
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, %s))"
# Ages in seconds: a time of day is many times slower to read than a number.
PLACED = f"""
    SELECT flight_id, date_part('epoch', %s::timestamptz - placed_at)
    FROM {PERSON} JOIN ads_delivery ON tenant_id = %s AND subject_key = person.key
        AND placed_at > person.after AND placed_at <= person.until
    WHERE placed_at > %s AND (impression_at IS NOT NULL OR (status = 'open' AND expires_at > %s))"""


def capped_flights(snapshot: Snapshot, subject: Subject, now: datetime) -> set[UUID]:
    """Flights that may not be shown to the subject now. Locks the subject until the transaction ends."""
    if not snapshot.longest_memory:
        return set()
    with prepared_cursor() as cursor:
        for key in sorted(set(subject.keys)):
            cursor.execute(LOCK, [f"ads:{key.hex()}", current_tenant_id()])
        since = now - snapshot.longest_memory
        cursor.execute(PLACED, [now, *person_values(subject.keys), current_tenant_id(), since, now])
        placed: dict[UUID, list[float]] = defaultdict(list)
        for flight, age in cursor.fetchall():
            placed[flight].append(age)
    return {flight for flight, ages in placed.items() if _is_capped(snapshot, flight, ages)}


def _is_capped(snapshot: Snapshot, flight: UUID, ages: list[float]) -> bool:
    bits = snapshot.of_flight.get(flight)
    if bits is None:
        return False
    ad = snapshot.ads[(bits & -bits).bit_length() - 1]
    if ad.recency_seconds and min(ages) < ad.recency_seconds:
        return True
    return ad.cap_impressions is not None and sum(age < 3600 * ad.cap_hours for age in ages) >= ad.cap_impressions
