"""Costs and capacity become thresholds, on what a model said of late."""

from datetime import timedelta

import numpy as np
import pytest
from django.utils import timezone
from numpy.typing import NDArray
from uuid_utils.compat import uuid7

from decisions.models import Decision
from decisions.services import store_decisions
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient


def assess_all(tenant: Tenant, scores: NDArray[np.float64], actions: list[list[str]]) -> None:
    """400 assessments by a model, with the actions of the rules that hit.

    They are those of ten days, replayed just now, and a last one of a year ago."""
    version, now = uuid7(), timezone.now()
    ages = [*(timedelta(days=10) * part / 400 for part in range(399)), timedelta(days=364)]
    with tenant_scope(tenant.id):
        store_decisions(
            [
                Decision(
                    decision_id=uuid7(),
                    decided_at=now,
                    application="risk",
                    scenario="transactions",
                    policy="thresholds and rules",
                    model_version=version,
                    latency_ms=1.0,
                    request={
                        "amount": 100.0,
                        "anomaly": None,
                        "occurred_at": (now - age).isoformat(),
                        "rules": [{"key": f"rule-{action}", "action": action} for action in hits],
                    },
                    items=[{"id": "approve", "score": float(score)}],
                )
                for score, hits, age in zip(scores, actions, ages, strict=True)
            ]
        )


@pytest.fixture
def assessed(tenant: Tenant) -> None:
    """One in ten of 400 is likely fraud."""
    assess_all(tenant, np.where(np.arange(400) % 10 == 0, 0.9, 0.01), [[]] * 400)


@pytest.mark.usefixtures("assessed")
def test_costs_part_the_likely_from_the_unlikely(api: ApiClient) -> None:
    answer = api.get("risk/thresholds")
    assert answer.status_code == 200, answer.content
    found = answer.json()
    assert found["assessments"] == 400
    # A decline of .9 costs 2 on average, a review 5, passing it 90; of .01 passing costs 1.
    assert 0.01 < found["suggested"]["decline_above"] <= 0.9
    assert found["suggested"]["cost_per_1000"] < found["suggested"]["approve_all_cost_per_1000"]
    current = found["current"]
    assert (current["review_above"], current["decline_above"]) == (0.1, 0.8)
    # 40 of .9 are declined for 2 each, 360 of .01 pass for 1 each.
    assert current["cost_per_1000"] == pytest.approx((40 * 2 + 360) / 400 * 1000)
    assert current["declines_a_day"] == current["alerts_a_day"] > current["reviews_a_day"] == 0
    assert current["declines_a_day"] == pytest.approx(4, rel=0.02)
    assert found["suggested"]["cost_per_1000"] <= current["cost_per_1000"]


@pytest.mark.usefixtures("assessed")
def test_what_is_suggested_is_put_in_force_though_it_is_never(api: ApiClient) -> None:
    api.patch("risk/settings", {"cost_wrong_decline": 10_000, "cost_review": 10_000})
    suggested = api.get("risk/thresholds").json()["suggested"]
    wanted = {name: suggested[name] for name in ("review_above", "decline_above")}
    assert wanted == {"review_above": 2, "decline_above": 2}
    changed = api.patch("risk/settings", wanted)
    assert changed.status_code == 200, changed.content
    current = api.get("risk/thresholds").json()["current"]
    assert current["alerts_a_day"] == 0
    assert current["cost_per_1000"] == pytest.approx(suggested["cost_per_1000"])


def test_what_rules_ask_to_review_takes_of_the_desks_capacity(api: ApiClient, tenant: Tenant) -> None:
    """Of 40 a day each is worth a review. Rules ask for those of the 8 least likely, approve 2 and decline 2."""
    places = np.arange(400)
    order = np.random.default_rng(0).permutation(400)
    actions = np.select([places < 20, places < 40, places >= 320], ["approve", "decline", "review"], "")
    hits = [["alert", action] if action else [] for action in actions[order].tolist()]
    assess_all(tenant, (0.7 - places / 1_000)[order], hits)
    api.patch("risk/settings", {"daily_capacity": 10, "cost_wrong_decline": 10_000})
    found = api.get("risk/thresholds").json()
    assert found["assessments"] == 380
    suggested = found["suggested"]
    assert suggested["reviews_a_day"] == pytest.approx(10, abs=0.5)
    assert suggested["is_held_by_capacity"]
    # Two a day are left to the score: the 20 of the highest that no rule has decided.
    assert suggested["review_above"] == pytest.approx(0.64, abs=0.005)
    api.patch("risk/settings", {name: suggested[name] for name in ("review_above", "decline_above")})
    assert api.get("risk/thresholds").json()["current"]["reviews_a_day"] == suggested["reviews_a_day"]


def test_what_rules_approve_is_never_reviewed_and_wrongly_declined(api: ApiClient, tenant: Tenant) -> None:
    kinds = np.arange(400) % 10
    scores = np.select([kinds == 0, kinds == 1], [0.9, 0.5], 0.01)
    assess_all(tenant, scores, [["approve", "review"] if kind < 2 else [] for kind in kinds.tolist()])
    found = api.get("risk/thresholds").json()
    current = found["current"]
    assert current["declines_a_day"] == pytest.approx(4, rel=0.02)
    assert current["reviews_a_day"] == 0
    # 40 of .9 are declined for 20 each, 40 of .5 pass for nothing and 320 of .01 for 1.
    assert current["cost_per_1000"] == pytest.approx((40 * 20 + 320) / 400 * 1000)
    assert found["suggested"]["decline_above"] == 2


def test_without_assessments_by_a_model_nothing_is_suggested(api: ApiClient) -> None:
    answer = api.get("risk/thresholds?days=7")
    assert answer.status_code == 422
    assert "200 are needed" in answer.json()["detail"]
