"""What is learnt of purchases: pairs and intervals, held against a computation of their own."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import chain, permutations
from statistics import median
from typing import Any

import numpy as np
import pytest

from apps.recommendation.lists import habits
from apps.recommendation.lists.habits import LARGEST_BASKET, LEAST_TOGETHER, SHRINKAGE, refresh_purchase_habits
from apps.recommendation.models import ItemPair, RepurchaseInterval, Within
from apps.recommendation.scenarios import APPLICATION
from apps.recommendation.tasks import refresh_purchase_habits as refresh_all
from behavior.services import store_events
from decisions.services import define_scenario
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.database import connected_as
from tests.processes import Process
from tests.queries import CapturedQueries
from tests.waiting import until

START = datetime(2026, 9, 1, 12, tzinfo=UTC)


def buy(subject: str, day: int, *items: str, type: str = "purchase", training: bool = True) -> list[dict[str, Any]]:
    moment = (START + timedelta(days=day)).isoformat()
    return [
        {
            "message_id": f"{subject}-{day}-{item}-{type}",
            "type": type,
            "subject": {"user_id": subject},
            "item_id": item,
            "created_at": moment,
            "consent": {"training": training},
        }
        for item in items
    ]


def store(*events: list[dict[str, Any]]) -> None:
    assert store_events(events=list(chain(*events)), source="test", historical=True).counts.get("quarantined", 0) == 0


def pairs(within: Within) -> dict[tuple[str, str], tuple[int, float, float]]:
    rows = ItemPair.objects.filter(within=within).values_list(
        "item_id", "other_id", "together", "confidence", "added_value"
    )
    return {(item, other): (together, confidence, added) for item, other, together, confidence, added in rows}


def expected_pairs(baskets: list[set[str]]) -> dict[tuple[str, str], tuple[int, Any, Any]]:
    found = {}
    for item, other in permutations(set().union(*baskets), 2):
        together = sum({item, other} <= each for each in baskets)
        one, base = sum(item in each for each in baskets), sum(other in each for each in baskets) / len(baskets)
        if together >= LEAST_TOGETHER and together / one >= base:
            confidence = (together + SHRINKAGE * base) / (one + SHRINKAGE)
            found[item, other] = (together, pytest.approx(confidence), pytest.approx(confidence - base, abs=1e-9))
    return found


def test_pairs_and_intervals_are_what_counting_by_hand_gives(scope: Tenant) -> None:
    generator = np.random.default_rng(3)
    events, baskets = [], defaultdict(set)
    for subject in range(12):
        for day in generator.choice(40, size=6, replace=False):
            items = {f"i{number}" for number in generator.integers(0, 6, size=3)}
            baskets[f"u{subject}", int(day)] = items
            events.append(buy(f"u{subject}", int(day), *sorted(items)))
    store(*events)

    refresh_purchase_habits()

    of_subject: dict[str, set[str]] = defaultdict(set)
    days: dict[tuple[str, str], list[int]] = defaultdict(list)
    for (subject, day), items in sorted(baskets.items()):
        of_subject[subject] |= items
        for item in items:
            days[subject, item].append(day)
    gaps: dict[str, list[int]] = defaultdict(list)
    for (_, item), bought in days.items():
        gaps[item] += np.diff(sorted(bought)).tolist()
    assert pairs(Within.BASKET) == expected_pairs(list(baskets.values()))
    assert pairs(Within.SUBJECT) == expected_pairs(list(of_subject.values()))
    assert dict(RepurchaseInterval.objects.filter(of="item").values_list("name", "days")) == {
        item: median(found) for item, found in gaps.items() if len(found) >= habits.LEAST_GAPS
    }


def test_only_purchases_that_may_train_count_and_no_wholesaler(scope: Tenant) -> None:
    everything = [f"i{number}" for number in range(LARGEST_BASKET + 1)]
    store(*(buy(f"w{number}", 0, *everything) for number in range(2)))
    store(*(buy(f"v{number}", 0, "a", "b", type="view") for number in range(3)))
    store(*(buy(f"p{number}", 0, "a", "b", training=False) for number in range(3)))
    store(buy("u", 0, "a", "c"))

    refresh_purchase_habits()

    assert not ItemPair.objects.exists()


def test_a_scenario_may_name_other_purchases(scope: Tenant) -> None:
    define_scenario(
        key="home", name="Home", application=APPLICATION, kind="personalised", settings={"bought_types": ["deal"]}
    )
    store(*(buy(f"u{number}", 0, "a", "b", type="deal") for number in range(2)))

    refresh_purchase_habits()

    assert {("a", "b"), ("b", "a")} == set(pairs(Within.BASKET))


def test_a_refresh_without_new_purchases_reads_little_and_changes_nothing(scope: Tenant) -> None:
    store(*(buy(f"u{number}", 0, "a", "b") for number in range(2)))
    refresh_purchase_habits()
    before = pairs(Within.BASKET)
    store(buy("u", 1, "a", type="view"))

    with CapturedQueries() as queries:
        refresh_purchase_habits()

    assert pairs(Within.BASKET) == before != {}
    assert not any("recommendation_itempair" in query["sql"] for query in queries)


def test_another_tenants_purchases_make_no_pair(tenant: Tenant, other_tenant: Tenant) -> None:
    with tenant_scope(other_tenant.id):
        store(*(buy(f"u{number}", 0, "a", "b") for number in range(3)))
        refresh_purchase_habits()
        assert pairs(Within.BASKET)
    with tenant_scope(tenant.id):
        refresh_purchase_habits()
        assert not ItemPair.objects.exists()


@pytest.mark.slow
def test_the_task_refreshes_every_tenant(
    tenant: Tenant, other_tenant: Tenant, start_worker: Callable[..., Process]
) -> None:
    for each in (tenant, other_tenant):
        with tenant_scope(each.id):
            store(*(buy(f"u{number}", 0, "a", "b") for number in range(3)))
    with connected_as("owner"):
        # Those of earlier tests, a thousand perhaps, would be refreshed too.
        Tenant.objects.exclude(pk__in=[tenant.id, other_tenant.id]).update(is_active=False)
    start_worker(queues="default,slow")
    refresh_all.delay()

    def refreshed(each: Tenant) -> bool:
        with tenant_scope(each.id):
            return ItemPair.objects.exists()

    until(lambda: refreshed(tenant) and refreshed(other_tenant))
