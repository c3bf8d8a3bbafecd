"""Writes of audiences through the API: what is refused of those that are in use or archived."""

from datetime import timedelta
from importlib import import_module
from typing import Any

from django.db import connection
from django.utils import timezone

from apps.ads.audiences.models import Audience, AudienceBuild
from apps.ads.audiences.services import tend
from apps.ads.campaigns.models import Flight
from apps.ads.campaigns.services import archive
from behavior.services import store_events
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.ads.world import make_live_flight
from tests.conftest import ApiClient
from tests.database import connected_as
from tests.messages import take_messages

REGULARS: dict[str, Any] = {"key": "regulars", "name": "Regulars", "seed_kind": "list"}


def make_audience(api: ApiClient) -> str:
    answer = api.post("ads/audiences", REGULARS)
    assert answer.status_code == 201, answer.content
    return f"ads/audiences/{answer.json()['id']}"


def test_the_history_says_who_replaced_the_list_and_how_many_there_are(tenant: Tenant, api: ApiClient) -> None:
    path = make_audience(api)
    with tenant_scope(tenant.id):
        seen = [{"message_id": user, "type": "view", "item_id": "i", "subject": {"user_id": user}} for user in "abc"]
        store_events(events=seen, source="test")
    api.put(f"{path}/seed", {"subjects": [{"user_id": "a"}, {"user_id": "nobody"}]})
    api.put(f"{path}/seed", {"subjects": [{"user_id": user} for user in "abc"]})

    newest, before, made = api.get(f"{path}/changes").json()["results"]
    assert [each["action"] for each in (newest, before, made)] == ["seed", "seed", "created"]
    assert newest["differences"] == [{"name": "seed", "before": 1, "after": 3}]
    assert newest["actor"] == made["actor"]
    assert api.get(path).json()["version"] == newest["version"] == 3


def test_a_build_whose_message_was_lost_is_announced_again(tenant: Tenant, api: ApiClient) -> None:
    made = api.post(f"{make_audience(api)}/builds", {}).json()
    assert [sent.arguments for sent in take_messages("train", tenant)] == [{"build_id": made["id"]}]
    with tenant_scope(tenant.id):
        tend()
    assert take_messages("train", tenant) == []

    with tenant_scope(tenant.id):
        AudienceBuild.objects.update(created_at=timezone.now() - timedelta(days=3))
        tend()
        assert AudienceBuild.objects.get().status == "queued", "behind long trainings it waits"
    assert [sent.arguments for sent in take_messages("train", tenant)] == [{"build_id": made["id"]}]


def test_an_archived_audience_takes_no_list_and_no_build(api: ApiClient) -> None:
    path = make_audience(api)
    assert api.delete(path).status_code == 204
    for answer in (api.put(f"{path}/seed", {"subjects": [{"user_id": "a"}]}), api.post(f"{path}/builds", {})):
        assert answer.status_code == 409
        assert answer.json()["detail"] == "the audience 'Regulars' has been archived"


def test_an_audience_is_not_archived_while_a_flight_names_it(tenant: Tenant, api: ApiClient) -> None:
    path = make_audience(api)
    with tenant_scope(tenant.id):
        flight = make_live_flight(name="Newcomers", targeting={"exclude": {"audiences": ["regulars"]}})
        gone = make_live_flight(name="Last year", targeting={"include": {"audiences": ["regulars"]}})
        archive(Flight, object_id=gone.id, actor="test")

    refused = api.delete(path)
    assert refused.status_code == 409
    assert "flights name the audience 'regulars': 'Newcomers';" in refused.json()["detail"]
    assert not api.get(path).json()["is_archived"]

    assert api.patch(f"ads/flights/{flight.id}", {"targeting": {}}).status_code == 200
    assert api.delete(path).status_code == 204
    late = api.patch(f"ads/flights/{flight.id}", {"targeting": {"exclude": {"audiences": ["regulars"]}}})
    assert "no audience 'regulars' that is not archived" in late.json()["errors"][0]["message"]


def test_the_upgrade_pauses_flights_that_leave_out_an_audience_archived_before_it(
    tenant: Tenant, api: ApiClient
) -> None:
    make_audience(api)
    with tenant_scope(tenant.id):
        left_out, asked_for, neither = (
            make_live_flight(targeting=targeting)
            for targeting in (
                {"exclude": {"audiences": ["regulars"]}},
                {"include": {"audiences": ["regulars"]}},
                {"exclude": {"countries": ["DE"]}},
            )
        )
        Audience.objects.update(archived_at=timezone.now())
    upgrade = import_module("apps.ads.migrations.0017_unpaid_and_paused")
    with connected_as("owner"), connection.cursor() as cursor:
        cursor.execute(upgrade.in_each_tenant(upgrade.PAUSE))

    states = [api.get(f"ads/flights/{each.id}").json()["status"] for each in (left_out, asked_for, neither)]
    assert states == ["paused", "live", "live"]
    newest = api.get(f"ads/flights/{left_out.id}/changes").json()["results"][0]
    assert newest["actor"] == "the upgrade, as an audience that it leaves out is archived"
    assert newest["differences"] == [{"name": "status", "before": "live", "after": "paused"}]
    refused = api.post(f"ads/flights/{left_out.id}/start", {})
    assert "no audience 'regulars' that is not archived; leave it out" in refused.json()["errors"][0]["message"]
    assert api.patch(f"ads/flights/{left_out.id}", {"targeting": {}}).status_code == 200
    assert api.post(f"ads/flights/{left_out.id}/start", {}).status_code == 200
