"""Lists that were shown become training data: with what was chosen, as serving saw them, and as far as is agreed to."""

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from django.utils import timezone
from uuid_utils.compat import uuid7

from behavior.models import ALL_CONSENT, Consent, Event
from decisions.services import record_decision
from decisions.shown_lists import count_lists, take_shown_lists
from ml.data.ranked_lists import RankedLists
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

GRADES = {"click": 1.0, "purchase": 5.0}
FEATURES: dict[str, list[float | None]] = {"client_rank": [0.0, -1.0, -1.58], "client.margin": [0.25, None, 0.5]}


def show(items: str = "abc", features: dict[str, Any] | None = FEATURES) -> UUID:
    """A ranking of these items."""
    decision_id = uuid7()
    record_decision(
        decision_id=decision_id,
        application="recommendation",
        scenario="search-rerank",
        policy="greedy",
        request={"query": "tent"} | ({} if features is None else {"features": features}),
        items=[
            {"id": item, "rank": rank, "score": 0.1, "propensity": 1.0, "reasons": [], "rules": []}
            for rank, item in enumerate(items, start=1)
        ],
        latency_ms=1.0,
    )
    return decision_id


def choose(decision_id: UUID, item: str | None, type: str = "click", consent: int = ALL_CONSENT) -> None:
    Event.objects.create(
        received_at=timezone.now() - timedelta(seconds=1),
        occurred_at=timezone.now() - timedelta(seconds=1),
        time_quality="client",
        subject_key=b"s" * 32,
        type=type,
        item_id=item,
        decision_id=decision_id,
        source="test",
        consent=consent,
    )


def take(path: Path) -> RankedLists:
    return take_shown_lists(path / "lists", grades=GRADES, days=30)


def test_a_list_comes_with_the_best_that_was_done_with_each_item(scope: Tenant, tmp_path: Path) -> None:
    shown = show()
    choose(shown, "b")
    choose(shown, "b", type="purchase")
    choose(shown, "c")
    choose(shown, "a", type="impression")

    lists = take(tmp_path)

    assert (len(lists), lists.rank.tolist(), lists.grade.tolist()) == (1, [1, 2, 3], [0, 5, 1])
    assert lists.time[0] == pytest.approx(timezone.now().timestamp(), abs=60)


def test_features_are_those_that_serving_saw(scope: Tenant, tmp_path: Path) -> None:
    choose(show(), "a")
    choose(show(features={"client_rank": [0.0, -1.0, -1.58], "sequence": [0.5, 0.0, -0.5]}), "b")

    lists = take(tmp_path)

    assert lists.names == ["client.margin", "client_rank", "sequence"]
    assert lists.column("client_rank").tolist() == pytest.approx([0, -1, -1.58] * 2)
    assert np.isnan(lists.features[:, 0]).tolist() == [False, True, False, True, True, True]
    assert np.isnan(lists.features[:, 2]).tolist() == [True] * 3 + [False] * 3


def test_items_below_those_whose_features_were_kept_stay_out(scope: Tenant, tmp_path: Path) -> None:
    first, second = show("abcdef"), show("abcdef")
    choose(first, "b")
    choose(second, "f")

    lists = take(tmp_path)

    assert (len(lists), lists.rank.tolist()) == (1, [1, 2, 3])


def test_a_list_takes_part_only_if_all_its_events_may_train(scope: Tenant, tmp_path: Path) -> None:
    private, agreed = show(), show()
    choose(private, "a")
    choose(private, "b", consent=Consent.PERSONALISATION)
    choose(agreed, "c")

    assert take(tmp_path).grade.tolist() == [0, 0, 1]
    assert count_lists(10) == 2


def test_without_consent_there_is_nothing_to_learn_from(scope: Tenant, tmp_path: Path) -> None:
    choose(show(), "a", consent=Consent.PERSONALISATION)
    assert count_lists(10) == 0
    with pytest.raises(ValueError, match="send decision_id with clicks"):
        take(tmp_path)


def test_lists_without_features_or_choices_say_nothing(scope: Tenant, tmp_path: Path) -> None:
    choose(show(features=None), "a")
    show()
    choose(show(), None, type="search")
    assert count_lists(10) == 0
    with pytest.raises(ValueError, match="no ranking has an event"):
        take(tmp_path)


def test_counting_stops_at_the_limit(scope: Tenant) -> None:
    for _ in range(3):
        choose(show(), "a")
    assert (count_lists(2), count_lists(10)) == (2, 3)


def test_another_tenants_rankings_are_not_read(tenant: Tenant, other_tenant: Tenant, tmp_path: Path) -> None:
    with tenant_scope(other_tenant.id):
        theirs = show()
        choose(theirs, "a")
    with tenant_scope(tenant.id):
        choose(theirs, "a")
        assert count_lists(10) == 0
        with pytest.raises(ValueError, match="no ranking has an event"):
            take(tmp_path)
