"""What models of clicks and conversions learn from: ads that were seen, and clicks, with what their subjects had done.

No subject is named, and of those who did not agree to training nothing is told but the ad."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.ads import engine
from apps.ads.learning.history import history_at
from apps.ads.settings import current_settings
from behavior.models import Consent
from tenancy.scope import current_tenant_id

USUAL_DAYS = 60
# The newest ones; more would tell little more of the ads that run now.
MOST_ROWS = 1_000_000
# What a training run needs in each of three parts of the log, with some to spare.
LEAST_SUCCESSES = 200

# As an auction would have read it: with the key that the decision knew, when it was made.
BEFORE = f"""CASE WHEN subject_key IS NULL OR consent & {Consent.TRAINING} = 0 THEN ARRAY[]::text[]
        ELSE ({history_at("delivery.subject_key", "delivery.placed_at")}) END"""
CLICKS = f"""
    SELECT extract(epoch FROM impression_at)::float8, clicked_at IS NOT NULL, NULL::float8,
        creative_id::text, placement_id::text, {BEFORE}
    FROM ads_delivery AS delivery
    WHERE tenant_id = %(tenant)s AND placed_at > %(since)s AND impression_at <= %(settled)s
    ORDER BY placed_at DESC LIMIT %(most)s"""
CONVERSIONS = f"""
    SELECT extract(epoch FROM clicked_at)::float8, converted_at IS NOT NULL,
        extract(epoch FROM greatest(converted_at - clicked_at, interval '0'))::float8,
        creative_id::text, placement_id::text, {BEFORE}
    FROM ads_delivery AS delivery
    WHERE tenant_id = %(tenant)s AND placed_at > %(since)s AND clicked_at IS NOT NULL
    ORDER BY placed_at DESC LIMIT %(most)s"""
SUCCESSES = """
    SELECT count(*) FROM (
        SELECT 1 FROM ads_delivery WHERE tenant_id = %s AND placed_at > %s AND {column} IS NOT NULL LIMIT %s
    ) AS found"""


def take_clicks(config: dict[str, Any], folder: Path) -> Path:
    """Write the ads seen that can no longer be clicked below `folder`, which is the tenant's own, and return where."""
    return _take(CLICKS, config, folder)


def take_conversions(config: dict[str, Any], folder: Path) -> Path:
    """Write the clicks, as `take_clicks`; which of them are old enough to be judged is the task's matter."""
    return _take(CONVERSIONS, config, folder)


def missing_clicks() -> str | None:
    return _missing("clicked_at", "ads were clicked")


def missing_conversions() -> str | None:
    return _missing("converted_at", "ads led to a conversion")


def _take(query: str, config: dict[str, Any], folder: Path) -> Path:
    now = timezone.now()
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "since": now - timedelta(days=config.get("days", USUAL_DAYS)),
        "settled": now - timedelta(minutes=current_settings().click_minutes),
        "most": MOST_ROWS,
    }
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        # Words are kept once: a million histories say the same ones again and again.
        rows = [(*row[:-1], [sys.intern(each) for each in row[-1]]) for row in cursor]
    columns = list(zip(*rows, strict=True)) or [()] * 6
    path = folder / f"impressions-{uuid7()}"
    time, succeeded, delay, creatives, placements, histories = columns
    engine.write_impressions(
        path,
        time=time,
        succeeded=succeeded,
        delay=delay,
        creatives=creatives,
        placements=placements,
        histories=histories,
    )
    return path


def _missing(column: str, words: str) -> str | None:
    since = timezone.now() - timedelta(days=USUAL_DAYS)
    with connection.cursor() as cursor:
        cursor.execute(SUCCESSES.format(column=column), [current_tenant_id(), since, LEAST_SUCCESSES])
        (found,) = cursor.fetchone()
    if found >= LEAST_SUCCESSES:
        return None
    return f"{found} {words} in {USUAL_DAYS} days; training needs {LEAST_SUCCESSES}: wait for more traffic"
