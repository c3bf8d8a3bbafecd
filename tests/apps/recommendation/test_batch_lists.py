"""A batch's lists are those of requests: for all kinds, under rules and refusals, one for each person."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.recommendation.lists.asking import Ask
from apps.recommendation.lists.habits import refresh_purchase_habits
from apps.recommendation.models import Batch
from apps.recommendation.rules.services import create_rule, publish_rule
from apps.recommendation.services import preview
from behavior import logins
from behavior.subjects import read_subject
from decisions.models import Decision
from serving.models import ModelVersion
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ITEMS
from tests.apps.recommendation.test_batches import ADDRESS, Post, download, lists, look, run_all, start
from tests.conftest import ApiClient

BOOTS = {"eq": {"field": "categories", "value": "boots"}}
KINDS = (
    ("home", {}),
    ("product", {}),
    ("also-bought", {}),
    ("cart", {}),
    ("session", {}),
    ("category", {"filter": BOOTS}),
    ("popular", {}),
    ("trending", {}),
    ("recently-viewed", {}),
    ("buy-again", {}),
    ("home", {"params": {"diversity": 0.5, "price": -0.5, "freshness": 0.5, "rotation_rate": 0.5}}),
)


@pytest.fixture(autouse=True)
def no_login_remembered() -> None:
    logins._remembered.clear()


@pytest.fixture
def shoppers(live_model: ModelVersion, post_events: Post) -> ModelVersion:
    """Six users who viewed three items and bought one twice."""
    for number in range(6):
        post_events(*(ITEMS[(number + step) % 12] for step in range(3)), user_id=f"u{number}")
        for days_ago in (20, 10):
            post_events(ITEMS[(number + 4) % 12], type="purchase", user_id=f"u{number}", days_ago=days_ago)
    return live_model


def made(api: ApiClient, tenant: Tenant, **body: Any) -> dict[str, list[str]]:
    """What each subject gets of a batch that is started and carried out."""
    batch = start(api, **body)
    run_all(tenant, batch)
    ended = look(api, batch)
    assert ended["status"] == "succeeded", ended
    return lists(download(api, ended))


def previewed(tenant: Tenant, users: list[str], **body: Any) -> dict[str, list[str]]:
    """What each user would get of a request; users with an empty list are left out."""
    with tenant_scope(tenant.id):
        answers = {user: preview(Ask(subject=read_subject({"user_id": user}), **body)) for user in users}
        return {user: [item["id"] for item in answer.items] for user, answer in answers.items() if answer.items}


@pytest.mark.parametrize(("scenario", "body"), KINDS, ids=[f"{key}-{len(body)}" for key, body in KINDS])
def test_every_kind_of_list_is_the_one_of_a_request(
    scenario: str, body: dict[str, Any], shop: Tenant, shoppers: ModelVersion, api: ApiClient
) -> None:
    with tenant_scope(shop.id):
        refresh_purchase_habits()
    expected = previewed(shop, [f"u{number}" for number in range(6)], scenario=scenario, count=3, **body)
    assert expected
    assert made(api, shop, scenario=scenario, count=3, **body) == expected


def test_rules_shape_a_batch_as_they_shape_a_request(shop: Tenant, shoppers: ModelVersion, api: ApiClient) -> None:
    with tenant_scope(shop.id):
        for kind, target, values in (
            ("hide", {"eq": {"field": "id", "value": "item-05"}}, {}),
            ("pin", {"eq": {"field": "id", "value": "item-11"}}, {"position": 2}),
            ("promote", BOOTS, {"share": 50}),
        ):
            rule = create_rule(actor="test", name=kind, kind=kind, target=target, values=values)
            publish_rule(rule_id=rule.id, actor="test")

    found = made(api, shop, count=4)

    assert found == previewed(shop, sorted(found), scenario="email", count=4)
    assert len(found) == 6
    assert all("item-05" not in items and items[1] == "item-11" for items in found.values())
    with tenant_scope(shop.id):
        decision = Decision.objects.filter(request__batch=str(Batch.objects.get().id)).first()
    assert decision is not None
    assert "pin" in decision.items[1]["rules"]


def test_what_was_refused_stays_out(
    shop: Tenant, shoppers: ModelVersion, api: ApiClient, post_events: Callable[..., None]
) -> None:
    first = made(api, shop, count=3, subjects=[{"user_id": "u1"}])["u1"][0]
    post_events(first, type="dislike", user_id="u1")
    again = made(api, shop, count=3, subjects=[{"user_id": "u1"}])
    assert first not in again["u1"]
    assert again == previewed(shop, ["u1"], scenario="email", count=3)


def test_a_person_gets_one_list_under_the_users_id_from_all_that_was_done(
    shop: Tenant, live_model: ModelVersion, api: ApiClient, post_events: Post
) -> None:
    post_events("item-09", type="purchase", anonymous_id="phone", days_ago=3)
    post_events("item-03", anonymous_id="phone")
    post_events("item-04", user_id="walker", anonymous_id="phone")
    post_events("item-06", user_id="wanderer")
    post_events("item-02", anonymous_id="stranger")

    found = made(api, shop, count=12)
    assert set(found) == {"walker", "wanderer", "stranger"}
    assert "item-09" not in found["walker"]

    api.post("identities/merges", {"from_user_id": "wanderer", "to_user_id": "walker"})
    found = made(api, shop, count=12)
    [person] = found.keys() - {"stranger"}
    assert person in ("walker", "wanderer")
    assert found[person] == previewed(shop, ["walker"], scenario="email", count=12)["walker"]
    assert made(api, shop, count=12, subjects=[{"anonymous_id": "phone"}, {"user_id": "wanderer"}]) == {
        person: found[person]
    }


@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        ("search", "use POST searches"),
        ("search-rerank", "use POST rankings"),
        ("category", "send a filter"),
    ],
)
def test_what_needs_more_than_a_subject_is_refused(scenario: str, says: str, tenant: Tenant, api: ApiClient) -> None:
    answer = api.post(ADDRESS, {"scenario": scenario})
    assert answer.status_code == 400
    assert says in str(answer.json())
