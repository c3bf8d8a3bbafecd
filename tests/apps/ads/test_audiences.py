"""Lookalike audiences: from a seed to members, and from members to who is shown an ad."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from apps.ads.auctions.asking import Ask
from apps.ads.auctions.services import decide
from apps.ads.audiences.building import BuildReport, Members
from apps.ads.audiences.models import Audience, AudienceBuild, AudienceMember, AudienceSeed, BuildStatus
from apps.ads.audiences.services import BuildUnderWay, put_seed, request_build, succeed, tend
from apps.ads.campaigns.models import Campaign
from apps.ads.campaigns.services import archive, create
from apps.ads.forecasts.replay import forecast
from apps.ads.models import AdDecision
from apps.ads.reports.view import auction_context
from apps.ads.tasks import build_audience
from behavior.identity import link
from behavior.services import store_events
from behavior.subjects import read_subject
from serving import selectors
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import subject_key
from tenancy.tasks import TENANT_HEADER
from tests.apps.ads.tastes import event, fill_log, train, views
from tests.apps.ads.world import BROWSER, make_campaign, make_live_flight, make_placement
from tests.apps.recommendation.conftest import publish
from tests.conftest import ApiClient
from tests.database import connected_as
from tests.queries import CapturedQueries

SUBSCRIBERS: dict[str, Any] = {
    "key": "like-subscribers",
    "name": "Like subscribers",
    "seed_kind": "event",
    "seed_event": "subscribe",
    "share": 0.25,
}


@pytest.fixture(scope="session")
def tastes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("tastes"))


@pytest.fixture
def shop(tenant: Tenant, tastes: Path) -> Iterator[Tenant]:
    """A tenant with a live model of the next item, and a log of two tastes."""
    publish(tenant, tastes, model="next-item", task="next_item")
    with tenant_scope(tenant.id):
        fill_log()
    selectors._lines.clear()
    yield tenant
    selectors._lines.clear()


def make_audience(**values: Any) -> Audience:
    return create(Audience, actor="test", **SUBSCRIBERS | values)


def built(tenant: Tenant, **values: Any) -> AudienceBuild:
    """The build of a new audience, as a worker would do it in this process."""
    with tenant_scope(tenant.id):
        audience = make_audience(**values)
        return build(tenant, audience)


def build(tenant: Tenant, audience: Audience) -> AudienceBuild:
    with tenant_scope(tenant.id):
        made = AudienceBuild.objects.create(audience=audience, requested_by="test")
    build_audience.apply(kwargs={"build_id": str(made.id)}, headers={TENANT_HEADER: tenant.id}).get()
    with tenant_scope(tenant.id):
        return AudienceBuild.objects.select_related("audience").get(id=made.id)


def members(tenant: Tenant) -> set[str]:
    """Users of the world that are in an audience."""
    users = [f"{kind}-{number}" for kind in ("camper", "climber") for number in range(200)]
    with tenant_scope(tenant.id):
        keys = {bytes(key) for key in AudienceMember.objects.values_list("subject_key", flat=True)}
        return {user for user in users if subject_key("user_id", user) in keys}


def ask(user: str, *, consent: bool = True) -> Ask:
    subject = read_subject({"user_id": user}) if consent else None
    return Ask(("top",), subject, user_agent=BROWSER, has_consent=consent)


def test_an_audience_is_who_did_what_the_seed_had_done(shop: Tenant) -> None:
    found = built(shop)
    assert (found.status, found.error) == (BuildStatus.SUCCEEDED, "")
    report = found.report
    assert report is not None
    assert (report["seed"], report["scored"], report["share"]) == (40, 300, 0.25)
    # A quarter of all would hold a quarter of a random seed; campers are half of all.
    assert report["recall"] > 0.4
    assert report["recall"] > report["activity"]

    users = members(shop)
    assert len(users) == report["members"] == 75
    assert sum(user.startswith("camper") for user in users) >= 70, "those who share the seed's taste"
    assert not users & {f"camper-{number}" for number in range(40)}, "the seed itself is not among them"


def test_the_seed_joins_where_it_is_wanted(shop: Tenant) -> None:
    built(shop, include_seed=True)
    assert members(shop) >= {f"camper-{number}" for number in range(40)}


def test_nobody_without_consent_and_nobody_erased_is_a_member(shop: Tenant) -> None:
    with tenant_scope(shop.id):
        refused = {"personalisation": False, "training": True}
        untrained = {"personalisation": True, "training": False}
        store_events(
            events=[
                event("camper-50", 25, item_id="item-00", consent=refused),
                event("camper-51", 25, item_id="item-00", consent=untrained),
            ],
            source="test",
        )
    erase(shop, "camper-52")
    found = built(shop, share=0.5)
    assert found.report is not None, found.error
    assert not members(shop) & {"camper-50", "camper-51", "camper-52"}
    assert found.report["excluded"]["consent"] == 2


def erase(tenant: Tenant, user: str) -> None:
    """As an erasure does: the vault knows the subject no more."""
    with connected_as("owner"), tenant_scope(tenant.id), connection.cursor() as cursor:
        key = subject_key("user_id", user)
        cursor.execute("DELETE FROM behavior_subjectidentity WHERE subject_key = %s", [key])
        assert cursor.rowcount == 1


def test_an_erasure_takes_a_subject_out_of_audiences_and_of_lists(shop: Tenant) -> None:
    built(shop)
    (gone, *_) = sorted(members(shop))
    with tenant_scope(shop.id):
        listed = make_audience(key="listed", seed_kind="list", seed_event="")
        put_seed(audience_id=listed.id, subjects=[read_subject({"user_id": gone})], actor="test")
    erase(shop, gone)
    assert gone not in members(shop)
    with tenant_scope(shop.id):
        assert not AudienceSeed.objects.exists()


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"seed_event": "never"}, "the seed has 0 subjects"),
        ({"seed_event": "rare"}, "the seed has 19 subjects"),
    ],
)
def test_too_small_a_seed_is_refused_and_the_members_stay(shop: Tenant, values: dict[str, Any], problem: str) -> None:
    with tenant_scope(shop.id):
        store_events(events=[event(f"climber-{each}", 25, type="rare") for each in range(19)], source="test")
    kept = built(shop).audience
    before = members(shop)
    with tenant_scope(shop.id):
        Audience.objects.filter(id=kept.id).update(**values)
        kept.refresh_from_db()
    failed = build(shop, kept)
    assert failed.status == BuildStatus.FAILED
    assert problem in failed.error
    assert "an audience needs 20" in failed.error
    assert members(shop) == before


def test_without_a_model_a_build_says_what_is_missing(tenant: Tenant) -> None:
    failed = built(tenant)
    assert failed.status == BuildStatus.FAILED
    assert "no version of the model line next-item is live" in failed.error


def test_a_list_makes_an_audience_too_and_names_who_is_unknown(shop: Tenant, api: ApiClient) -> None:
    made = api.post("ads/audiences", {**SUBSCRIBERS, "seed_kind": "list", "seed_event": ""})
    # An empty event is none at all.
    assert made.status_code == 400
    body = {name: value for name, value in SUBSCRIBERS.items() if name != "seed_event"}
    made = api.post("ads/audiences", body | {"seed_kind": "list"}).json()
    subjects = [{"user_id": f"climber-{number}"} for number in range(30)] + [{"user_id": "nobody"}]
    answer = api.put(f"ads/audiences/{made['id']}/seed", {"subjects": subjects})
    assert answer.json() == {"known": 30, "unknown": 1}

    with tenant_scope(shop.id):
        audience = Audience.objects.get()
    assert build(shop, audience).status == BuildStatus.SUCCEEDED
    users = members(shop)
    assert sum(user.startswith("climber") for user in users) > 0.9 * len(users)


def test_members_alone_are_shown_what_asks_for_them_and_the_auction_says_so(shop: Tenant) -> None:
    built(shop)
    inside = sorted(members(shop))[0]
    with tenant_scope(shop.id):
        make_placement()
        flight = make_live_flight(targeting={"include": {"audiences": ["Like-Subscribers"]}})
        (member,) = decide(ask(inside))
        (stranger,) = decide(ask("climber-3"))
        (nobody,) = decide(ask(inside, consent=False))
        assert member.lead is not None
        assert member.lead.ad.flight_id == flight.id
        assert stranger.no_fill is not None
        assert nobody.no_fill is not None
        assert (stranger.no_fill.reason, stranger.no_fill.lost) == ("targeting", {"targeting.audiences": 1})
        assert nobody.no_fill.reason == "consent"

        shown = auction_context(AdDecision.objects.get(decision_id=stranger.decision_id))
        assert shown["losses"] == [
            ("the subject is not in the audience", 1, ["Flight (not in audience like-subscribers)"])
        ]


def test_who_is_excluded_by_an_audience_is_not_shown(shop: Tenant) -> None:
    built(shop)
    inside = sorted(members(shop))[0]
    with tenant_scope(shop.id):
        make_placement()
        make_live_flight(targeting={"exclude": {"audiences": ["like-subscribers"]}})
        (member,), (stranger,) = decide(ask(inside)), decide(ask("climber-3"))
        assert member.lead is None
        assert stranger.lead is not None


def test_a_person_is_a_member_under_every_name(shop: Tenant) -> None:
    built(shop)
    inside = sorted(members(shop))[0]
    with tenant_scope(shop.id):
        make_placement()
        make_live_flight(targeting={"include": {"audiences": ["like-subscribers"]}})
        store_events(events=[event("x", 1, subject={"anonymous_id": "phone"}, item_id="item-00")], source="test")
        link(user_id=inside, anonymous_id="phone", actor="test")
        subject = read_subject({"anonymous_id": "phone"})
        (placed,) = decide(Ask(("top",), subject, user_agent=BROWSER, has_consent=True))
        assert placed.lead is not None


def test_a_decision_reads_audiences_once_and_only_where_a_flight_asks(shop: Tenant) -> None:
    built(shop)
    with tenant_scope(shop.id):
        make_placement()
        campaign = make_campaign()
        make_live_flight(campaign)
        decide(ask("climber-3"))
        with CapturedQueries() as queries:
            decide(ask("climber-3"))
        assert not [each for each in queries.captured_queries if "audiencemember" in each["sql"]]
        for _ in range(3):
            make_live_flight(campaign, targeting={"include": {"audiences": ["like-subscribers"]}})
        decide(ask("climber-3"))
        with CapturedQueries() as queries:
            decide(ask("climber-3"))
        assert len([each for each in queries.captured_queries if "audiencemember" in each["sql"]]) == 1


def test_a_forecast_counts_the_requests_of_members(shop: Tenant) -> None:
    built(shop)
    inside = sorted(members(shop))[:5]
    with tenant_scope(shop.id):
        make_placement()
        campaign = make_campaign()
        make_live_flight(campaign)
        for user in [*inside, *(f"climber-{number}" for number in range(15))]:
            decide(ask(user))
        flight = make_live_flight(campaign, targeting={"include": {"audiences": ["like-subscribers"]}})
        outlook = forecast(flight)
        assert (outlook.requests, outlook.matching) == (20, len(inside))


def test_a_flight_cannot_ask_for_an_audience_that_is_not_there(scope: Tenant) -> None:
    with pytest.raises(ValidationError, match="there is no audience 'nobody'"):
        make_live_flight(targeting={"include": {"audiences": ["nobody"]}})


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"seed_event": ""}, "seed_event"),
        ({"share": 0.9}, "share"),
        ({"share": 0}, "share"),
        ({"key": "Upper"}, "key"),
        ({"seed_days": 0}, "seed_days"),
        ({"seed_flight_id": "00000000-0000-0000-0000-000000000001"}, "seed_flight_id"),
        ({"seed_kind": "list"}, "seed_event"),
        ({"seed_kind": "segment"}, "seed_kind"),
    ],
)
def test_an_audience_that_cannot_be_found_is_refused_by_field(api: ApiClient, body: dict[str, Any], field: str) -> None:
    answer = api.post("ads/audiences", SUBSCRIBERS | body)
    assert answer.status_code == 400, answer.content
    assert {each["field"] for each in answer.json()["errors"]} == {field}


def test_a_flights_own_events_make_a_seed(scope: Tenant) -> None:
    flight = make_live_flight()
    with pytest.raises(ValidationError, match="of a flight must be ad_impression, ad_click, ad_conversion"):
        make_audience(seed_flight_id=flight.id)
    made = make_audience(seed_event="ad_conversion", seed_flight_id=flight.id)
    assert Campaign.objects.count() == 1
    assert made.seed_flight_id == flight.id


def test_the_api_builds_an_audience_and_tells_how_well(shop: Tenant, api: ApiClient) -> None:
    made = api.post("ads/audiences", SUBSCRIBERS).json()
    assert api.post("ads/audiences", SUBSCRIBERS).json()["errors"][0]["field"] == "key"
    asked = api.post(f"ads/audiences/{made['id']}/builds", {})
    assert asked.status_code == 202, asked.content
    assert api.post(f"ads/audiences/{made['id']}/builds", {}).status_code == 409

    build_audience.apply(kwargs={"build_id": asked.json()["id"]}, headers={TENANT_HEADER: shop.id}).get()
    (shown,) = api.get(f"ads/audiences/{made['id']}/builds").json()["results"]
    assert shown["status"] == "succeeded", shown["error"]
    assert shown["report"]["recall"] > shown["report"]["random"]
    assert "subject" not in str(shown), "nobody is named"


def test_another_tenant_neither_sees_nor_builds_an_audience(
    tenant: Tenant, api: ApiClient, other_api: ApiClient, other_tenant: Tenant
) -> None:
    made = api.post("ads/audiences", SUBSCRIBERS).json()
    assert other_api.get(f"ads/audiences/{made['id']}").status_code == 404
    assert other_api.post(f"ads/audiences/{made['id']}/builds", {}).status_code == 404
    assert other_api.put(f"ads/audiences/{made['id']}/seed", {"subjects": [{"user_id": "a"}]}).status_code == 404
    with tenant_scope(tenant.id):
        assert not AudienceBuild.objects.exists()


def test_builds_come_due_and_are_given_up_when_left(scope: Tenant) -> None:
    audience = make_audience(refresh="daily")
    tend()
    assert not AudienceBuild.objects.exists(), "the first one is asked for"

    first = request_build(audience_id=audience.id, actor="test")
    with pytest.raises(BuildUnderWay):
        request_build(audience_id=audience.id, actor="test")
    age(first.id, hours=3)
    tend()
    began = AudienceBuild.objects.filter(status=BuildStatus.QUEUED)
    assert began.update(status=BuildStatus.RUNNING, started_at=timezone.now()) == 1, "a queue may be long"
    tend()
    running = AudienceBuild.objects.filter(status=BuildStatus.RUNNING)
    assert running.update(started_at=timezone.now() - timedelta(hours=3)) == 1
    tend()
    first.refresh_from_db()
    assert (first.status, "no worker ended it" in first.error) == (BuildStatus.FAILED, True)
    assert AudienceBuild.objects.count() == 1, "not a day has passed"
    age(first.id, hours=25)
    tend()
    assert AudienceBuild.objects.count() == 2


def age(build_id: UUID, *, hours: float) -> None:
    AudienceBuild.objects.filter(id=build_id).update(created_at=timezone.now() - timedelta(hours=hours))


def test_a_build_that_was_given_up_changes_no_members(shop: Tenant) -> None:
    ended = built(shop)
    assert ended.report is not None
    nobody = Members(ended.audience_id, [], BuildReport(**ended.report))
    with tenant_scope(shop.id):
        late = AudienceBuild.objects.create(audience_id=ended.audience_id, status=BuildStatus.FAILED)
        succeed(late.id, nobody)
        assert AudienceMember.objects.count() == ended.report["members"]
        AudienceBuild.objects.filter(id=late.id).update(status=BuildStatus.RUNNING)
        succeed(late.id, nobody)
        assert not AudienceMember.objects.exists()


def test_an_archived_audience_forgets_its_subjects(shop: Tenant) -> None:
    audience = built(shop).audience
    with tenant_scope(shop.id):
        archive(Audience, object_id=audience.id, actor="test")
        tend()
        assert not AudienceMember.objects.exists()


def test_views_before_the_seed_are_what_counts(shop: Tenant) -> None:
    """Those who subscribed without having looked at anything say nothing."""
    with tenant_scope(shop.id):
        store_events(events=[event(f"new-{number}", 5, type="subscribe") for number in range(10)], source="test")
        store_events(events=[each for number in range(10) for each in late_views(f"new-{number}")], source="test")
    found = built(shop)
    assert found.report is not None
    assert found.report["seed"] == 40
    assert found.report["excluded"]["seed without history"] == 10


def late_views(user: str) -> list[dict[str, Any]]:
    return [each | {"created_at": timezone.now().timestamp() - 60.0} for each in views(user, 1, count=2)]
