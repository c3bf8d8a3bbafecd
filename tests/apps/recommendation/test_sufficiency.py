"""GET /api/v1/scenarios and their data sufficiency: what is there, what is missing, what to do about it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.recommendation.lists.settings import ScenarioSettings
from apps.recommendation.selectors import scenarios
from apps.recommendation.services import create_default_scenarios
from apps.recommendation.sufficiency import log_sample
from apps.recommendation.sufficiency.log_sample import EVENTS_READ
from apps.recommendation.sufficiency.requirements import Requirement, Verdict
from apps.recommendation.sufficiency.verdicts import sufficiency
from behavior.popularity import refresh_item_popularity
from behavior.services import store_events
from catalog.services import upsert_items
from decisions.services import define_scenario
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

Post = Callable[..., None]
# Rows of the log as an import would leave them, without its parsing: 200,000 take seconds and not minutes.
FILL = """
    INSERT INTO behavior_event (event_id, tenant_id, received_at, occurred_at, time_quality, subject_key, type, item_id,
        source, consent, decision_id)
    SELECT ('01890000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid, %(tenant)s, now(),
        now() - number * interval '1 second', 'client',
        decode(lpad(to_hex(number %% 20000), 64, '0'), 'hex'), CASE number %% 10 WHEN 0 THEN 'purchase' ELSE 'view' END,
        'item-' || lpad((number %% 15)::text, 2, '0'), 'test', 3, CASE number %% 50 WHEN 0 THEN gen_random_uuid() END
    FROM generate_series(1, %(count)s) AS number"""


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    log_sample._samples.clear()


def fill(tenant: Tenant, count: int) -> None:
    with tenant_scope(tenant.id), connection.cursor() as cursor:
        cursor.execute(FILL, {"tenant": tenant.id, "count": count})


def check(api: ApiClient, scenario: str = "home") -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    answer = api.get(f"scenarios/{scenario}/sufficiency")
    assert answer.status_code == 200, answer.content
    found = answer.json()
    return found, {each["code"]: each for each in found["requirements"]}


def test_scenarios_are_listed_with_kind_settings_and_state(tenant: Tenant, api: ApiClient) -> None:
    with tenant_scope(tenant.id):
        create_default_scenarios()
        scenarios().filter(key="trending").update(is_active=False, settings={"trend_days": 3})

    found = {each["key"]: each for each in api.get("scenarios").json()["results"]}

    assert list(found) == sorted(found)
    assert (found["email"]["kind"], found["email"]["model"], found["email"]["status"]) == (
        "personalised",
        "next-item",
        "active",
    )
    assert (found["trending"]["status"], found["trending"]["settings"]) == ("off", {"trend_days": 3})


def test_a_new_tenant_finds_the_default_scenarios(tenant: Tenant, api: ApiClient) -> None:
    assert "home" in {each["key"] for each in api.get("scenarios").json()["results"]}


def test_an_empty_log_is_insufficient_and_each_gap_has_a_cure(tenant: Tenant, api: ApiClient) -> None:
    found, requirements = check(api)

    assert found["verdict"] == "insufficient"
    assert requirements["events"]["verdict"] == "insufficient"
    assert requirements["events"]["missing"] == "1,000 more events"
    assert requirements["model"]["missing"] == "no version has been trained"
    assert '{"model": "next-item"}' in requirements["model"]["cure"]
    assert all(each["cure"] for each in found["requirements"] if each["verdict"] != "ok")
    assert all(each["found"] is None or each["found"] >= 0 for each in found["requirements"])


def test_a_shop_with_all_it_takes_is_ok(live_model: ModelVersion, shop: Tenant, api: ApiClient) -> None:
    # Fifteen items of which the catalogue knows twelve are too few of them; three more make it whole.
    with tenant_scope(shop.id):
        upsert_items([{"id": f"item-{number:02d}"} for number in range(12, 15)])
    fill(shop, 40_000)

    found, requirements = check(api)

    assert {each["code"]: each["verdict"] for each in found["requirements"]} == dict.fromkeys(requirements, "ok")
    assert found["verdict"] == "ok"
    assert requirements["subjects"]["found"] == 20_000
    assert requirements["events"]["at_least"] is False
    assert requirements["decision_ids"]["found"] == 800


def test_thin_lies_between_what_the_engine_needs_and_what_it_should_have(
    live_model: ModelVersion, shop: Tenant, api: ApiClient
) -> None:
    fill(shop, 500)
    found, requirements = check(api)
    assert found["verdict"] == "insufficient"  # no subject has two events yet
    assert (requirements["events"]["verdict"], requirements["events"]["missing"]) == ("thin", "500 more events")
    assert requirements["subjects"]["found"] == 0
    assert requirements["catalogue"]["verdict"] == "thin"
    assert requirements["catalogue"]["found"] == pytest.approx(12 / 15)
    assert requirements["catalogue"]["missing"] == "3 of 15 items are unknown"


def test_shown_items_and_subjects_without_consent_do_not_count(shop: Tenant, api: ApiClient, post_events: Post) -> None:
    post_events(*["item-01"] * 4, type="impression", user_id="u1")
    post_events(*["item-01"] * 3, user_id="u1", consent={"personalisation": False, "training": False})
    post_events("item-02", user_id="u2")

    _, requirements = check(api)

    assert requirements["events"]["found"] == 4
    assert requirements["subjects"]["found"] == 1
    assert requirements["consent"]["found"] == pytest.approx(5 / 8)
    assert requirements["consent"]["verdict"] == "ok"


def test_related_items_ask_for_ten_thousand_recent_events(
    live_model: ModelVersion, shop: Tenant, api: ApiClient
) -> None:
    fill(shop, 9_000)
    _, requirements = check(api, "product")
    assert requirements["recent_events"]["verdict"] == "thin"
    assert requirements["recent_events"]["missing"] == "1,000 more events"
    assert requirements["model"]["verdict"] == "ok"


def test_baskets_are_purchases_of_one_session(shop: Tenant, post_events: Post) -> None:
    for number in range(3):
        post_events("item-01", "item-02", type="purchase", user_id="u1", session_id=f"s{number}")
    post_events("item-01", "item-01", type="purchase", user_id="u2", session_id="twice-the-same")
    post_events("item-01", "item-02", type="view", user_id="u3", session_id="only-looked")

    with tenant_scope(shop.id):
        assert log_sample.log_sample(ScenarioSettings()).baskets == 3
        cart = define_scenario(key="cart", name="Cart", application="recommendation", kind="bought_together")
        [baskets] = [each for each in sufficiency(cart).requirements if each.code == "baskets"]
    assert (baskets.verdict, baskets.missing) == (Verdict.INSUFFICIENT, "997 more baskets")


def test_a_trend_needs_a_past(shop: Tenant, api: ApiClient) -> None:
    with tenant_scope(shop.id):
        now = datetime.now(UTC)
        events = [
            {
                "message_id": f"m{days}",
                "type": "view",
                "item_id": "item-01",
                "subject": {"user_id": "u"},
                "created_at": (now - timedelta(days=days)).isoformat(),
            }
            for days in (20, 0)
        ]
        store_events(events=events, source="test", historical=True)
        refresh_item_popularity()
    _, requirements = check(api, "trending")
    assert (requirements["history"]["verdict"], requirements["history"]["found"]) == ("thin", 20)
    assert requirements["history"]["needed"] == 35


@pytest.mark.parametrize(("days", "verdict"), [(0, "ok"), (3, "thin"), (40, "insufficient")])
def test_an_old_log_is_told(days: int, verdict: str, shop: Tenant, api: ApiClient) -> None:
    with tenant_scope(shop.id):
        created_at = (datetime.now(UTC) - timedelta(days=days, minutes=1)).isoformat()
        event = {"message_id": "m", "type": "view", "item_id": "item-01", "subject": {"user_id": "u"}}
        store_events(events=[event | {"created_at": created_at}], source="test", historical=True)
    _, requirements = check(api, "popular")
    assert requirements["recency"]["verdict"] == verdict


def test_a_big_log_costs_one_bounded_query_a_minute(shop: Tenant, api: ApiClient) -> None:
    fill(shop, 200_000)
    started = time.perf_counter()
    _, requirements = check(api)
    seconds = time.perf_counter() - started
    with CapturedQueries() as queries:
        check(api)
        check(api, "email")

    assert requirements["events"]["found"] == EVENTS_READ
    assert requirements["events"]["at_least"] is True
    assert not [query for query in queries if "behavior_event" in query["sql"]]
    assert seconds < 10.0, f"{seconds:.2f} s for a log of 200,000 events"
    print(f"sufficiency of 200,000 events: {1000 * seconds:.0f} ms")


def test_tenants_are_counted_apart(shop: Tenant, api: ApiClient, other_api: ApiClient) -> None:
    fill(shop, 300)
    assert check(api)[1]["events"]["found"] == 300
    assert check(other_api)[1]["events"]["found"] == 0


def test_an_unknown_scenario_is_not_found(tenant: Tenant, api: ApiClient) -> None:
    answer = api.get("scenarios/attic/sufficiency")
    assert answer.status_code == 404
    assert "known are: " in answer.json()["detail"]


def test_every_requirement_that_is_not_met_says_what_is_missing_and_how_to_mend_it(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        create_default_scenarios()
        gaps: list[Requirement] = [gap for each in scenarios() for gap in sufficiency(each).missing]
    assert gaps
    assert all(gap.missing and gap.cure and gap.source for gap in gaps)


def test_each_kind_asks_for_what_its_lists_rest_on(shop: Tenant, api: ApiClient, post_events: Post) -> None:
    for days_ago in (20, 10):
        post_events("item-01", "item-02", type="purchase", user_id="u1", days_ago=days_ago)
    post_events("item-03", user_id="u1")

    found = {
        code: check(api, scenario)[1][code]
        for scenario, code in (
            ("also-bought", "buyers"),
            ("buy-again", "bought_again"),
            ("recently-viewed", "viewed"),
            ("category", "categories"),
            ("search", "titles"),
            ("search-rerank", "rankings"),
        )
    }

    assert {code: each["found"] for code, each in found.items()} == {
        "buyers": 1,
        "bought_again": 2,
        "viewed": 1,
        "categories": 1.0,
        "titles": 1.0,
        "rankings": 0,
    }
    assert found["viewed"]["cure"].startswith("send an event of type ")
    assert check(api, "search-rerank")[1]["model"]["title"] == "A trained model is live on the line search-ranking"


def test_every_kind_of_scenario_has_requirements(tenant: Tenant, api: ApiClient) -> None:
    for each in api.get("scenarios").json()["results"]:
        found, requirements = check(api, each["key"])
        assert found["kind"] == each["kind"]
        assert {"catalogue", "recency", "decision_ids"} < requirements.keys()
