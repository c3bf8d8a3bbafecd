"""A list that was served can be taken apart: by member of the mixture and by event, as it was then."""

import shutil
from collections.abc import Callable
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from apps.recommendation.explanations.services import explain_decision
from behavior.models import Event
from decisions.models import Decision
from decisions.selectors import get_decision
from decisions.services import record_decision
from serving import engine
from serving import selectors as serving_selectors
from serving.artifacts import artifact_sha256, relative_path, resolve_artifact, run_folder
from serving.models import ModelVersion, RunStatus, TrainingRun
from serving.services import promote
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.recommendation.conftest import ITEMS
from tests.conftest import ApiClient
from tests.database import connected_as
from tests.queries import CapturedQueries

Recommend = Callable[..., dict[str, Any]]
Post = Callable[..., None]


def explanation(api: ApiClient, answer: dict[str, Any], attribution: str = "content") -> dict[str, Any]:
    found = api.get(f"decisions/{answer['decision_id']}/explanation?attribution={attribution}")
    assert found.status_code == 200, found.content
    body: dict[str, Any] = found.json()
    return body


@pytest.fixture
def served(live_model: ModelVersion, post_events: Post, recommend: Recommend) -> dict[str, Any]:
    post_events("item-03", "item-04", "item-07", user_id="u1")
    return recommend("home", user_id="u1", count=4)


@pytest.mark.parametrize("attribution", ["content", "attention", "integrated_gradients"])
def test_a_served_list_is_taken_apart(api: ApiClient, served: dict[str, Any], attribution: str) -> None:
    found = explanation(api, served, attribution=attribution)
    assert (found["available"], found["notice"], found["attribution"]) == (True, None, attribution)
    assert found["model_version"] == served["model_version"]
    assert [(event["type"], event["title"]) for event in found["events"]] == [
        ("view", "Boot 3"),
        ("view", "Tent 4"),
        ("view", "Boot 7"),
    ]
    known = {event["event_id"] for event in found["events"]}
    assert [item["id"] for item in found["items"]] == [item["id"] for item in served["items"]]
    for item, before in zip(found["items"], served["items"], strict=True):
        assert item["replayed_score"] == pytest.approx(before["score"], rel=1e-4)
        assert sum(member["score"] for member in item["members"]) == pytest.approx(item["score"], rel=1e-2)
        assert sum(member["share"] for member in item["members"]) == pytest.approx(1.0, rel=1e-2)
        assert {event["event_id"] for event in item["events"]} <= known
        weights = [abs(event["weight"]) for event in item["events"]]
        assert weights == sorted(weights, reverse=True)


def test_the_event_of_the_reason_is_the_one_with_the_greatest_weight(api: ApiClient, served: dict[str, Any]) -> None:
    found = explanation(api, served)
    for item in found["items"]:
        (reason,) = item["reasons"]
        assert reason["event_id"] == item["events"][0]["event_id"]


def test_what_happened_since_plays_no_part(api: ApiClient, served: dict[str, Any], post_events: Post) -> None:
    before = explanation(api, served)
    post_events("item-09", "item-10", user_id="u1")
    # Of earlier times, but it came into the log after the answer.
    post_events("item-11", user_id="u1", days_ago=3)
    assert explanation(api, served) == before


def test_events_of_the_anonymous_visitor_count_as_they_did(
    live_model: ModelVersion, api: ApiClient, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-04", anonymous_id="a1")
    answer = recommend("home", subject={"user_id": "u1", "anonymous_id": "a1"}, count=3)
    found = explanation(api, answer)
    assert (found["available"], found["notice"], len(found["events"])) == (True, None, 2)


def test_the_version_that_answered_explains_and_not_the_one_that_is_live_now(
    live_model: ModelVersion, shop: Tenant, api: ApiClient, served: dict[str, Any]
) -> None:
    before = explanation(api, served)
    with tenant_scope(shop.id):
        folder = run_folder(shop.id, "next-item", live_model.run_id) / "2"
        folder.mkdir()
        newer = ModelVersion.objects.create(
            model="next-item",
            number=2,
            task="next_item",
            run=TrainingRun.objects.create(model="next-item", task="next_item", status=RunStatus.SUCCEEDED),
            artifact=relative_path(folder),
            artifact_sha256=artifact_sha256(folder),
        )
        promote(version=newer, actor="test")
    serving_selectors._lines.clear()
    assert explanation(api, served) == before
    assert before["model_version"] == str(live_model.id)


def test_full_answers_carry_their_members(
    live_model: ModelVersion, api: ApiClient, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", "item-04", user_id="u1")
    answer = recommend("home", user_id="u1", count=3, explain="full")
    found = explanation(api, answer)
    assert [item["members"] for item in answer["items"]] == [item["members"] for item in found["items"]]
    assert answer["items"][0]["members"]
    assert answer["explanation"] == {"available": True, "notice": None, "events": found["events"]}
    assert answer["items"][0]["reasons"][0]["code"] == "because_of"


@pytest.mark.parametrize("explain", [True, False])
def test_other_answers_carry_none(
    live_model: ModelVersion, post_events: Post, recommend: Recommend, explain: bool
) -> None:
    post_events("item-03", user_id="u1")
    answer = recommend("home", user_id="u1", count=3, explain=explain)
    assert "explanation" not in answer
    assert not any("members" in item for item in answer["items"])
    assert all(bool(item["reasons"]) == explain for item in answer["items"])


def test_without_stored_reasons_the_scores_are_taken_apart_all_the_same(
    live_model: ModelVersion, api: ApiClient, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", user_id="u1")
    found = explanation(api, recommend("home", user_id="u1", count=3, explain=False))
    assert found["available"]
    assert all(item["members"] for item in found["items"])


def test_what_filled_up_the_list_is_not_the_models(
    live_model: ModelVersion, shop: Tenant, api: ApiClient, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", user_id="u1")
    api.put("items/brand-new", {"title": "Lamp", "price": 3, "currency": "EUR"})
    answer = recommend("home", user_id="u1", count=100)
    found = explanation(api, answer)
    by_id = {item["id"]: item for item in found["items"]}
    assert (by_id["brand-new"]["members"], by_id["brand-new"]["replayed_score"]) == ([], None)
    assert by_id["brand-new"]["reasons"][0]["code"] == "newest"
    assert by_id["item-04"]["members"]
    assert found["notice"] is None


def test_an_answer_of_the_rules_is_taken_apart_by_the_rules(
    live_model: ModelVersion, shop: Tenant, api: ApiClient, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", user_id="u1")
    (resolve_artifact(shop.id, live_model.artifact) / "model.safetensors").unlink()
    answer = recommend("home", user_id="u1", count=3)
    assert answer["degraded"] == "rules"
    found = explanation(api, answer)
    assert (found["available"], found["notice"]) == (True, None)
    assert "neural" not in {member["name"] for item in found["items"] for member in item["members"]}


def test_a_version_that_is_gone_is_said_plainly(
    live_model: ModelVersion, shop: Tenant, api: ApiClient, served: dict[str, Any]
) -> None:
    shutil.rmtree(resolve_artifact(shop.id, live_model.artifact))
    found = explanation(api, served)
    assert (found["available"], found["notice"]) == (False, "The model version that answered is no longer kept.")
    assert found["items"][0]["members"] == []
    assert found["items"][0]["reasons"] == served["items"][0]["reasons"]


def test_a_version_that_cannot_be_read_is_said_plainly(
    live_model: ModelVersion, shop: Tenant, api: ApiClient, served: dict[str, Any]
) -> None:
    (resolve_artifact(shop.id, live_model.artifact) / "model.safetensors").write_bytes(b"not a model")
    engine.predictors()._predictors.clear()
    found = explanation(api, served)
    assert not found["available"]
    assert found["notice"] == "The model cannot be asked now: version 1 cannot be read. Try again in a moment."


def test_events_that_are_gone_are_said_plainly(shop: Tenant, api: ApiClient, served: dict[str, Any]) -> None:
    with tenant_scope(shop.id):
        last = Event.objects.order_by("occurred_at").last()
    named = {each["event_id"] for item in served["items"] for each in item["reasons"]}
    assert str(last.event_id) in named
    with connected_as("owner"), tenant_scope(shop.id):
        Event.objects.filter(event_id=last.event_id).delete()
    partly = explanation(api, served)
    with connected_as("owner"), tenant_scope(shop.id):
        Event.objects.all().delete()
    wholly = explanation(api, served)
    assert "not there any more" in partly["notice"]
    assert "they were erased, are past their retention, or came later" in wholly["notice"]
    assert not wholly["available"]


def test_a_list_that_was_counted_says_so(
    live_model: ModelVersion, api: ApiClient, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", user_id="u1")
    for scenario in ("popular", "product"):
        found = explanation(api, recommend(scenario, user_id="u1", count=3))
        assert (found["available"], found["events"]) == (False, [])
        assert found["notice"].startswith("This list was counted")


def test_a_list_for_somebody_unknown_was_no_models(
    live_model: ModelVersion, api: ApiClient, post_events: Post, recommend: Recommend
) -> None:
    post_events("item-03", user_id="u1")
    found = explanation(api, recommend("home", user_id="nobody-knows", count=3))
    assert found["notice"].startswith("No model had a part")


def test_other_tenants_and_other_applications_have_nothing_to_see(
    shop: Tenant, api: ApiClient, other_api: ApiClient, served: dict[str, Any]
) -> None:
    assert other_api.get(f"decisions/{served['decision_id']}/explanation").status_code == 404
    with tenant_scope(shop.id):
        original = get_decision(Decision.objects.get().decision_id)
        foreign = record_decision(
            decision_id=uuid7(),
            application="ads",
            scenario="home",
            policy="greedy",
            request={},
            items=original.items,
            latency_ms=1.0,
        )
    answer = api.get(f"decisions/{foreign.decision_id}/explanation")
    assert answer.status_code == 404


def test_who_asks_afterwards_gets_the_most_faithful_attribution(api: ApiClient, served: dict[str, Any]) -> None:
    found = api.get(f"decisions/{served['decision_id']}/explanation").json()
    assert found == explanation(api, served, "integrated_gradients")


def test_an_unknown_attribution_is_refused_by_name(api: ApiClient, served: dict[str, Any]) -> None:
    answer = api.get(f"decisions/{served['decision_id']}/explanation?attribution=magic")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["attribution"]


def test_an_unknown_explain_is_refused_by_name(api: ApiClient, live_model: ModelVersion) -> None:
    request = {"scenario": "home", "subject": {"user_id": "u1"}, "explain": "fully"}
    answer = api.post("recommendations", request)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert (error["field"], error["message"]) == ("explain", "must be a boolean or full")


def test_explaining_needs_the_scope_of_decisions(
    served: dict[str, Any], client_with_scopes: Callable[..., ApiClient]
) -> None:
    client = client_with_scopes("recommendations:read")
    assert client.get(f"decisions/{served['decision_id']}/explanation").status_code == 403


def test_explaining_asks_the_database_the_same_for_long_and_short_lists(
    live_model: ModelVersion, shop: Tenant, post_events: Post, recommend: Recommend
) -> None:
    post_events(*ITEMS[:6], user_id="u1")
    counts = []
    for count in (1, 6):
        answer = recommend("home", user_id="u1", count=count)
        with tenant_scope(shop.id):
            decision = get_decision(Decision.objects.get(decision_id=answer["decision_id"]).decision_id)
            with CapturedQueries() as queries:
                explain_decision(decision)
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 7
