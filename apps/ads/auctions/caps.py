"""How often and how recently a subject was shown each flight: exact, also where one subject asks many times at once.

What counts is what was seen, and what was placed and may still be seen. Whoever decides for a subject holds a lock on
it until the decision is stored, so that no other decision counts without it.
"""

from collections import defaultdict
from datetime import datetime
from uuid import UUID

from apps.ads.auctions.snapshot import Snapshot
from behavior.subjects import Subject
from tenancy.scope import current_tenant_id
from tenancy.statements import prepared_cursor

PLACED = "SELECT flight, age FROM ads_placed(%s, %s::bytea[], %s::timestamptz, %s::timestamptz)"


def capped_flights(snapshot: Snapshot, subject: Subject, now: datetime) -> set[UUID]:
    """Flights that may not be shown to the subject now. Locks the subject until the transaction ends."""
    if not snapshot.longest_memory:
        return set()
    placed: dict[UUID, list[float]] = defaultdict(list)
    # As one text, since the driver takes long over a list.
    keys = ",".join(f'"\\\\x{key.hex()}"' for key in subject.keys)
    with prepared_cursor() as cursor:
        cursor.execute(PLACED, [current_tenant_id(), f"{{{keys}}}", now, now - snapshot.longest_memory])
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
