"""What the pages of the rooms do for their operators."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils import timezone

from behavior.identity import link, undo
from behavior.models import CleaningDrop, CleaningReport, Event, IdentityLink, Snapshot
from behavior.popularity import refresh_item_popularity
from console.training_view import percent_done
from serving.models import DeploymentEvent, RunStatus, TrainingRun
from serving.selectors import find_deployment
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.secrets import public_subject_id, subject_key
from tests.database import connected_as
from tests.platform.console.furnishing import Furnished, send, view


@pytest.fixture
def operator(as_role: Callable[[Role], Client]) -> Client:
    return as_role(Role.OPERATOR)


# Events --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def varied_log(tenant: Tenant) -> Tenant:
    send(
        tenant,
        view("a", item_id="lamp", subject={"user_id": "ada"}),
        view("b", item_id="desk", subject={"anonymous_id": "ada"}, type="cart"),
        view("c", item_id="rug", subject={"user_id": "bob"}),
    )
    return tenant


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("subject=ada", {"lamp", "desk"}),
        ("subject=nobody", set()),
        ("item=rug", {"rug"}),
        ("event_type=cart", {"desk"}),
        ("subject=ada&event_type=view", {"lamp"}),
        ("from=2020-01-01T00:00", {"lamp", "desk", "rug"}),
        ("until=2020-01-01T00:00", set()),
    ],
)
def test_events_are_found_by_what_is_asked(search: str, found: set[str], varied_log: Tenant, operator: Client) -> None:
    page = operator.get(f"/console/behavior/event/?{search}").content.decode()
    assert {item for item in ("lamp", "desk", "rug") if f">{item}<" in page} == found


def test_a_search_by_subject_follows_the_ledger(
    tenant: Tenant, varied_log: Tenant, as_role: Callable[[Role], Client]
) -> None:
    send(tenant, view("d", item_id="sofa", subject={"anonymous_id": "phone"}))
    with connected_as("app"), tenant_scope(tenant.id):
        tied, _ = link(user_id="bob", anonymous_id="phone", actor="test")
    client = as_role(Role.ANALYST)

    def found(subject: str) -> set[str]:
        page = client.get(f"/console/behavior/event/?subject={subject}").content.decode()
        return {item for item in ("lamp", "desk", "rug", "sofa") if f">{item}<" in page}

    assert found("bob") == found("phone") == {"rug", "sofa"}
    assert found("ada") == {"lamp", "desk"}
    with connected_as("app"), tenant_scope(tenant.id):
        undo(link_id=tied.id, kind=IdentityLink.Kind.LOGIN, actor="test")
    assert found("bob") == {"rug"}


def test_events_show_pseudonyms_and_never_raw_ids(varied_log: Tenant, operator: Client) -> None:
    page = operator.get("/console/behavior/event/").content.decode()
    with connected_as("app"), tenant_scope(varied_log.id):
        assert public_subject_id(subject_key("user_id", "ada")) in page
    assert "ada" not in page.replace("ada@", "")


def test_a_search_that_cannot_be_used_says_why(varied_log: Tenant, operator: Client) -> None:
    page = operator.get("/console/behavior/event/?decision=nonsense").content.decode()
    assert "is not an id of a decision" in page


def test_events_come_newest_first_and_in_pages_that_count_nothing(tenant: Tenant, operator: Client) -> None:
    send(tenant, *(view(f"m{number}", item_id=f"item-{number:02d}") for number in range(60)))
    first = operator.get("/console/behavior/event/").content.decode()
    second = operator.get("/console/behavior/event/?p=2").content.decode()
    assert first.count(">item-") == 50
    assert second.count(">item-") == 10
    assert "60 events" not in first


def test_what_was_found_is_exported_by_analysts(varied_log: Tenant, as_role: Callable[[Role], Client]) -> None:
    send(varied_log, view("formula", item_id="=1+1", subject={"user_id": "ada"}))
    exported = as_role(Role.ANALYST).get("/console/behavior/event/export/?subject=ada")
    assert exported["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(exported.content.decode().splitlines()))
    assert [row["item_id"] for row in rows] == ["'=1+1", "desk", "lamp"]
    assert as_role(Role.VIEWER).get("/console/behavior/event/export/").status_code == 403


# Quarantine ----------------------------------------------------------------------------------------------------------


def test_a_list_is_narrowed_by_its_search_bar_alone(furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    viewer = as_role(Role.VIEWER)
    page = "/console/behavior/quarantine/"
    assert viewer.get(f"{page}?status=open&o=1&p=1").status_code == 200
    for condition in ("raw__contains=a", "raw__regex=a", "status__exact=open", "tenant__name__startswith=a"):
        assert viewer.get(f"{page}?{condition}").status_code == 400


def test_a_mended_event_is_replayed_into_the_log(furnished: Furnished, operator: Client) -> None:
    address = f"/console/behavior/quarantine/{furnished.quarantined.pk}/change/"
    page = operator.get(address).content.decode()
    assert "value must be a number" in page

    mended = json.loads(furnished.quarantined.raw) | {"value": 12.5}
    page = operator.post(address, {"fixed": json.dumps(mended)}, follow=True).content.decode()
    assert "The event is in the log now" in page
    row = furnished.fresh(furnished.quarantined)
    assert (row.status, row.resolved_by) == ("replayed", f"operator@{furnished.tenant.slug}.example")
    with connected_as("app"), tenant_scope(furnished.tenant.id):
        assert Event.objects.filter(value=12.5).count() == 1


@pytest.mark.parametrize(
    ("fixed", "complaint"),
    [
        ("{not json", "This is not JSON"),
        ("[1, 2]", "discarded"),
        ('{"message_id": "bad", "type": "view", "subject": {}}', "subject"),
    ],
)
def test_a_mistake_in_mending_is_named_and_loses_nothing(
    fixed: str, complaint: str, furnished: Furnished, operator: Client
) -> None:
    address = f"/console/behavior/quarantine/{furnished.quarantined.pk}/change/"
    response = operator.post(address, {"fixed": fixed})
    assert complaint in response.content.decode()
    row = furnished.fresh(furnished.quarantined)
    assert (row.status, row.raw) == ("open", furnished.quarantined.raw)


def test_many_are_replayed_at_once_and_what_still_fails_stays(furnished: Furnished, operator: Client) -> None:
    chosen = {"action": "replay_rows", "_selected_action": str(furnished.quarantined.pk)}
    page = operator.post("/console/behavior/quarantine/", chosen, follow=True).content.decode()
    assert "1 still cannot be stored" in page
    assert furnished.fresh(furnished.quarantined).status == "open"


def test_a_resolved_row_can_no_longer_be_changed(furnished: Furnished, operator: Client) -> None:
    chosen = {"action": "discard_rows", "_selected_action": str(furnished.quarantined.pk)}
    operator.post("/console/behavior/quarantine/", chosen)
    before = furnished.count(Event)
    address = f"/console/behavior/quarantine/{furnished.quarantined.pk}/change/"
    assert operator.post(address, {"fixed": "{}"}).status_code == 403
    assert furnished.count(Event) == before


# Identities ----------------------------------------------------------------------------------------------------------


def test_links_are_found_by_either_id_and_show_pseudonyms(furnished: Furnished, operator: Client) -> None:
    row = f"/console/behavior/identitylink/{furnished.link.pk}/change/"
    for search, found in (
        ("subject=u1", True),
        ("subject=a1", True),
        ("subject=nobody", False),
        ("kind=login", True),
        ("kind=merge", False),
        ("status=active", True),
        ("status=undone", False),
    ):
        page = operator.get(f"/console/behavior/identitylink/?{search}").content.decode()
        assert (row in page) == found, search
    assert public_subject_id(bytes(furnished.link.from_key)) in operator.get(row).content.decode()


def test_a_link_is_undone_and_tied_again(furnished: Furnished, operator: Client) -> None:
    page = f"/console/behavior/identitylink/{furnished.link.pk}"
    shown = operator.get(f"{page}/change/").content.decode()
    assert "undo_link" in shown
    assert "restore_link" not in shown

    operator.post(f"{page}/undo_link/", {"_form_submitted": "on"})
    shown = operator.get(f"{page}/change/").content.decode()
    assert f"by operator@{furnished.tenant.slug}.example" in shown
    assert "restore_link" in shown

    answer = operator.post(f"{page}/restore_link/", {"_form_submitted": "on"})
    again = operator.get(answer["HX-Redirect"]).content.decode()
    assert "The two are one person again" in again
    assert furnished.count(type(furnished.link)) == 2
    assert furnished.fresh(furnished.link).undone_at is not None


def test_a_tenant_without_links_reads_how_they_come_about(operator: Client) -> None:
    page = operator.get("/console/behavior/identitylink/").content.decode()
    assert "No identities are tied yet" in page


# Models --------------------------------------------------------------------------------------------------------------


def test_a_version_is_promoted_and_rolled_back(furnished: Furnished, operator: Client) -> None:
    page = f"/console/serving/modelversion/{furnished.candidate.pk}"
    assert "Let this version answer?" in operator.get(f"{page}/promote_version/").content.decode()
    assert furnished.fresh(furnished.candidate).status == "candidate"

    response = operator.post(f"{page}/promote_version/", {"_form_submitted": "on"})
    assert response["HX-Redirect"] == f"{page}/change/"
    assert furnished.fresh(furnished.candidate).status == "live"
    assert furnished.fresh(furnished.live).status == "retired"
    shown = operator.get(f"{page}/change/").content.decode()
    assert "is live" in shown
    assert f"operator@{furnished.tenant.slug}.example" in shown

    operator.post(f"{page}/roll_back/", {"_form_submitted": "on"})
    with connected_as("app"), tenant_scope(furnished.tenant.id):
        assert find_deployment("next_item").live_version_id == furnished.live.pk
        assert DeploymentEvent.objects.filter(model="next_item").count() == 3


@pytest.mark.parametrize(
    ("status", "deleted", "reason"),
    [
        ("refused", None, "can not be promoted"),
        ("retired", datetime(2026, 1, 2, tzinfo=UTC), "deleted on 2026-01-02; train the line again"),
    ],
)
def test_a_version_that_is_refused_or_has_no_files_cannot_be_promoted(
    furnished: Furnished, operator: Client, status: str, deleted: datetime | None, reason: str
) -> None:
    with connected_as("app"), tenant_scope(furnished.tenant.id):
        versions = type(furnished.candidate).objects.filter(pk=furnished.candidate.pk)
        versions.update(status=status, files_deleted_at=deleted)
    page = f"/console/serving/modelversion/{furnished.candidate.pk}"
    shown = operator.get(f"{page}/change/").content.decode()
    assert "promote_version" not in shown
    assert ("Deleted on 2026-01-02" in shown) is (deleted is not None)
    operator.post(f"{page}/promote_version/", {"_form_submitted": "on"})
    assert reason in operator.get(f"{page}/change/").content.decode()
    assert furnished.fresh(furnished.candidate).status == status


def test_a_run_shows_its_scores_beside_the_baselines_and_its_curves(furnished: Furnished, operator: Client) -> None:
    page = operator.get(f"/console/serving/trainingrun/{furnished.live.run_id}/change/").content.decode()
    for text in ("0.2000", "Popularity (untrained)", "0.1000", "+100.0 %", "Loss by epoch", "NDCG@10 by epoch"):
        assert text in page
    assert 'http-equiv="refresh"' not in page


def test_a_run_and_its_version_show_what_the_heads_are_worth(furnished: Furnished, operator: Client) -> None:
    for page in (f"trainingrun/{furnished.live.run_id}", f"modelversion/{furnished.live.id}"):
        shown = operator.get(f"/console/serving/{page}/change/").content.decode()
        for text in ("Churn", "Auc", "0.8750", "Base rate (untrained)", "Measured on 1234 of the newest events"):
            assert text in shown


def test_a_running_run_shows_its_progress_and_loads_anew(furnished: Furnished, operator: Client) -> None:
    progress = {"stage": "training", "epoch": 2, "epochs": 4, "step": 5, "steps": 10, "metrics": {}}
    with connected_as("app"), tenant_scope(furnished.tenant.id):
        TrainingRun.objects.filter(pk=furnished.running.pk).update(status=RunStatus.RUNNING, progress=progress)
    page = operator.get(f"/console/serving/trainingrun/{furnished.running.pk}/change/").content.decode()
    assert "Training, epoch 2 of at most 4" in page
    assert 'http-equiv="refresh"' in page
    assert 'aria-valuenow="38"' in page


def test_progress_grows_from_stage_to_stage(scope: Tenant) -> None:
    stages = [
        {"stage": "snapshot"},
        {"stage": "baselines"},
        {"stage": "training", "epoch": 1, "epochs": 3, "step": 1, "steps": 9},
        {"stage": "training", "epoch": 1, "epochs": 3},
        {"stage": "training", "epoch": 3, "epochs": 3},
        {"stage": "evaluating"},
        {"stage": "saving"},
        {"stage": "gate"},
    ]
    shares = [percent_done(TrainingRun(status=RunStatus.RUNNING, progress=progress)) for progress in stages]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] < 100
    assert percent_done(TrainingRun(status=RunStatus.SUCCEEDED)) == 100


# Decisions, catalogue, data quality ----------------------------------------------------------------------------------


def test_a_decision_shows_items_reasons_version_and_outcomes(furnished: Furnished, operator: Client) -> None:
    page = operator.get(f"/console/decisions/decision/{furnished.decision.pk}/change/").content.decode()
    for text in ("sku-1", "popular with others", "1.5000", "greedy", "4.2 ms", "next_item 1", "What came of it"):
        assert text in page
    assert f"/console/behavior/event/{furnished.event.pk}/change/" in page


def test_an_item_is_mended_by_the_catalogues_own_rules(furnished: Furnished, operator: Client) -> None:
    address = f"/console/catalog/item/{furnished.item.pk}/change/"
    values = {"title": "Floor lamp", "categories": "Home, Light", "price": "12.50", "currency": "EUR"}
    operator.post(address, values | {"attributes": '{"size": [1, 2]}', "available": "on"})
    item = furnished.fresh(furnished.item)
    assert (item.title, item.categories, str(item.price), item.attributes) == (
        "Floor lamp",
        ["Home", "Light"],
        "12.50",
        {"size": [1, 2]},
    )
    page = operator.post(address, values | {"attributes": '{"size": {"deep": 1}}'}).content.decode()
    assert "size" in page
    assert furnished.fresh(furnished.item).attributes == {"size": [1, 2]}


def test_scenario_settings_are_json_objects(furnished: Furnished, operator: Client) -> None:
    address = f"/console/decisions/scenario/{furnished.scenario.pk}/change/"
    page = operator.post(address, {"name": "Home", "settings": "[1]", "is_active": "on"}).content.decode()
    assert "JSON object" in page
    assert furnished.fresh(furnished.scenario).settings == {}


def test_data_quality_counts_what_rules_touched_and_shows_the_events(furnished: Furnished, operator: Client) -> None:
    with connected_as("app"), tenant_scope(furnished.tenant.id):
        snapshot = Snapshot.objects.create(
            watermark=timezone.now(),
            path="x",
            events_read=9,
            events=8,
            subjects=2,
            items=1,
            without_consent=0,
            seconds=1,
        )
        report = CleaningReport.objects.create(snapshot=snapshot, rule="repeats", effect="dropped", count=1)
        CleaningDrop.objects.create(report=report, event_id=furnished.event.pk)
    page = operator.get("/console/behavior/cleaningreport/").content.decode()
    assert "double click" in page
    assert "wrong_type" in page
    details = operator.get(f"/console/behavior/cleaningreport/{report.pk}/change/").content.decode()
    assert f"/console/behavior/event/{furnished.event.pk}/change/" in details


def test_the_dashboard_counts_events_from_the_hourly_aggregates(furnished: Furnished, operator: Client) -> None:
    assert "Nothing was counted" in operator.get("/console/").content.decode()
    with connected_as("app"), tenant_scope(furnished.tenant.id):
        refresh_item_popularity()
    for days in ("2", "7", "30", "90", "nonsense"):
        page = operator.get(f"/console/?days={days}").content.decode()
        assert "Nothing was counted" not in page
        assert "&quot;label&quot;: &quot;view&quot;" in page
