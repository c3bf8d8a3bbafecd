"""Which role may see and do what. A denied action also leaves everything as it was."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.ads.campaigns.models import Placement
from apps.risk.transactions.models import Label
from behavior.models import Event, Quarantine
from serving.models import TrainingRun
from tenancy.models import ApiKey, Membership, Role
from tests.database import connected_as
from tests.platform.console.furnishing import Furnished

EVERYBODY = list(Role)
FROM_ANALYST = [Role.ANALYST, Role.OPERATOR, Role.ADMIN]
FROM_OPERATOR = [Role.OPERATOR, Role.ADMIN]
ADMINS = [Role.ADMIN]

SEEN_BY = {
    "behavior/event": EVERYBODY,
    "behavior/identitylink": EVERYBODY,
    "behavior/quarantine": EVERYBODY,
    "behavior/cleaningreport": EVERYBODY,
    "behavior/import": EVERYBODY,
    "catalog/item": EVERYBODY,
    "catalog/savedfilter": EVERYBODY,
    "recommendation/rule": EVERYBODY,
    "risk/riskrule": EVERYBODY,
    "risk/entitylist": EVERYBODY,
    "risk/case": EVERYBODY,
    "risk/label": EVERYBODY,
    "service/conversation": EVERYBODY,
    "service/servicereport": EVERYBODY,
    "webhooks/webhook": EVERYBODY,
    "webhooks/webhookdelivery": EVERYBODY,
    "risk/digest": FROM_OPERATOR,
    "ads/advertiser": EVERYBODY,
    "ads/campaign": EVERYBODY,
    "ads/flight": EVERYBODY,
    "ads/creative": EVERYBODY,
    "ads/placement": EVERYBODY,
    "ads/audience": EVERYBODY,
    "ads/adreport": EVERYBODY,
    "ads/addecision": EVERYBODY,
    "ads/reconciliation": EVERYBODY,
    "service/intent": EVERYBODY,
    "decisions/scenario": EVERYBODY,
    "decisions/decision": EVERYBODY,
    "service/experiment": EVERYBODY,
    "serving/trainingrun": EVERYBODY,
    "serving/modelversion": EVERYBODY,
    "tenancy/membership": EVERYBODY,
    "tenancy/apikey": ADMINS,
}


@pytest.mark.parametrize("role", EVERYBODY)
def test_lists_and_rows_are_seen_by_their_roles_alone(
    role: Role, furnished: Furnished, as_role: Callable[[Role], Client]
) -> None:
    client = as_role(role)
    for page, roles in SEEN_BY.items():
        expected = 200 if role in roles else 403
        assert client.get(f"/console/{page}/").status_code == expected, page
        if row := furnished.rows().get(page):
            assert client.get(f"/console/{page}/{row.pk}/change/").status_code == expected, page


@pytest.mark.parametrize("role", EVERYBODY)
def test_the_sidebar_offers_what_the_role_may_open(role: Role, as_role: Callable[[Role], Client]) -> None:
    page = as_role(role).get("/console/").content.decode()
    for address, roles in SEEN_BY.items():
        assert (f'href="/console/{address}/"' in page) == (role in roles), address


Act = Callable[[Client, Furnished], Any]


def dialog(page: str, row: str, action: str, **fields: str) -> Act:
    """Press the button of an action and confirm it."""
    return lambda client, furnished: client.post(
        f"/console/{page}/{getattr(furnished, row).pk}/{action}/", {"_form_submitted": "on", **fields}
    )


def bulk(page: str, row: str, action: str) -> Act:
    return lambda client, furnished: client.post(
        f"/console/{page}/", {"action": action, "_selected_action": str(getattr(furnished, row).pk)}
    )


def save(page: str, row: str, **values: str) -> Act:
    return lambda client, furnished: client.post(
        f"/console/{page}/{getattr(furnished, row).pk}/change/", values | {"_save": ""}
    )


def add(page: str, **values: str) -> Act:
    return lambda client, furnished: client.post(f"/console/{page}/add/", values)


MENDED = json.dumps({"message_id": "bad", "type": "view", "item_id": "sku-1", "subject": {"user_id": "u1"}, "value": 3})
ITEM = {"title": "Lamp", "attributes": "{}", "available": "on", "hidden": "on"}

# Name -> who may, how, and what of the tenant shows that it was done.
ACTIONS: dict[str, tuple[list[Role], Act, Callable[[Furnished], Any]]] = {
    "rename the tenant": (
        ADMINS,
        save("tenancy/tenant", "tenant", name="Another name"),
        lambda furnished: furnished.fresh(furnished.tenant).name,
    ),
    "add a member": (
        ADMINS,
        add("tenancy/membership", email="new@example.com", role="viewer"),
        lambda furnished: furnished.count(Membership),
    ),
    "change a member's role": (
        ADMINS,
        save("tenancy/membership", "membership", role="analyst"),
        lambda furnished: furnished.fresh(furnished.membership).role,
    ),
    "remove a member": (
        ADMINS,
        lambda client, furnished: client.post(
            f"/console/tenancy/membership/{furnished.membership.pk}/delete/", {"post": "yes"}
        ),
        lambda furnished: furnished.fresh(furnished.membership) is None,
    ),
    "make an API key": (
        ADMINS,
        add("tenancy/apikey", name="new", scopes="events:write"),
        lambda furnished: furnished.count(ApiKey),
    ),
    "rotate an API key": (ADMINS, dialog("tenancy/apikey", "key", "rotate"), lambda f: f.count(ApiKey)),
    "revoke an API key": (ADMINS, dialog("tenancy/apikey", "key", "revoke"), lambda f: f.fresh(f.key).revoked_at),
    "mend a quarantined event": (
        FROM_OPERATOR,
        save("behavior/quarantine", "quarantined", fixed=MENDED),
        lambda f: (f.count(Event), f.fresh(f.quarantined).status),
    ),
    "discard quarantined events": (
        FROM_OPERATOR,
        bulk("behavior/quarantine", "quarantined", "discard_rows"),
        lambda f: f.fresh(f.quarantined).status,
    ),
    "undo a link of identities": (
        FROM_OPERATOR,
        dialog("behavior/identitylink", "link", "undo_link"),
        lambda f: f.fresh(f.link).undone_by,
    ),
    "change an item": (
        FROM_OPERATOR,
        save("catalog/item", "item", **ITEM),
        lambda f: f.fresh(f.item).hidden,
    ),
    "hide items": (FROM_OPERATOR, bulk("catalog/item", "item", "hide"), lambda f: f.fresh(f.item).hidden),
    "change a scenario": (
        FROM_OPERATOR,
        save("decisions/scenario", "scenario", name="Front", settings='{"temperature": 0.5}', is_active="on"),
        lambda f: (f.fresh(f.scenario).name, f.fresh(f.scenario).settings),
    ),
    "publish a rule": (
        FROM_OPERATOR,
        dialog("recommendation/rule", "rule", "publish"),
        lambda f: f.fresh(f.rule).status,
    ),
    "publish a rule of the risk desk": (
        FROM_OPERATOR,
        dialog("risk/riskrule", "risk_rule", "publish"),
        lambda f: f.fresh(f.risk_rule).mode,
    ),
    "remove a list of the risk desk": (
        FROM_OPERATOR,
        dialog("risk/entitylist", "entity_list", "remove"),
        lambda f: f.fresh(f.entity_list),
    ),
    "take a case": (
        FROM_OPERATOR,
        lambda client, furnished: client.post(
            f"/console/risk/case/{furnished.case.pk}/take/?version=1", {"_form_submitted": "on"}
        ),
        lambda f: f.fresh(f.case).assignee,
    ),
    "give a case to a member": (
        FROM_OPERATOR,
        lambda client, furnished: client.post(
            f"/console/risk/case/{furnished.case.pk}/assign/?version=1",
            {"_form_submitted": "on", "assignee": f"guard@{furnished.tenant.slug}.example"},
        ),
        lambda f: f.fresh(f.case).assignee,
    ),
    "escalate cases": (FROM_OPERATOR, bulk("risk/case", "case", "escalate_selected"), lambda f: f.fresh(f.case).status),
    "confirm cases": (FROM_OPERATOR, bulk("risk/case", "case", "confirm_selected"), lambda f: f.fresh(f.case).status),
    "close cases as false alarms": (
        FROM_OPERATOR,
        bulk("risk/case", "case", "release_selected"),
        lambda f: f.fresh(f.case).status,
    ),
    "label a transaction": (
        FROM_OPERATOR,
        add("risk/label", transaction_id="t-1", kind="chargeback"),
        lambda f: f.count(Label),
    ),
    "label transactions from a file": (
        FROM_OPERATOR,
        lambda client, furnished: client.post(
            "/console/risk/label/from_file/",
            {"file": SimpleUploadedFile("labels.csv", b"transaction_id,kind\nt-1,chargeback\n")},
        ),
        lambda f: f.count(Label),
    ),
    "pause a webhook": (
        FROM_OPERATOR,
        dialog("webhooks/webhook", "webhook", "pause"),
        lambda f: f.fresh(f.webhook).is_active,
    ),
    "change what a webhook is told of": (
        FROM_OPERATOR,
        save("webhooks/webhook", "webhook", events="case.opened"),
        lambda f: f.fresh(f.webhook).events,
    ),
    "remove a rule": (FROM_OPERATOR, dialog("recommendation/rule", "rule", "remove"), lambda f: f.fresh(f.rule).status),
    "remove a saved filter": (
        FROM_OPERATOR,
        dialog("catalog/savedfilter", "saved_filter", "remove"),
        lambda f: f.fresh(f.saved_filter) is None,
    ),
    "approve a creative": (
        FROM_OPERATOR,
        dialog("ads/creative", "creative", "approve", version="1"),
        lambda f: f.fresh(f.creative).review,
    ),
    "archive a flight": (
        FROM_OPERATOR,
        dialog("ads/flight", "flight", "archive"),
        lambda f: f.fresh(f.flight).archived_at,
    ),
    "make a placement for ads": (
        FROM_OPERATOR,
        add(
            "ads/placement",
            key="side",
            currency="EUR",
            name="Side",
            width="300",
            height="250",
            floor_micros="0.5",
            auction="gsp",
        ),
        lambda f: f.count(Placement),
    ),
    "stop an experiment of service": (
        FROM_OPERATOR,
        dialog("service/experiment", "service_experiment", "stop_experiment"),
        lambda f: f.fresh(f.service_experiment).outcome,
    ),
    "promote the challenger of an experiment": (
        FROM_OPERATOR,
        dialog("service/experiment", "service_experiment", "promote_challenger"),
        lambda f: (f.fresh(f.service_experiment).outcome, f.fresh(f.service_experiment.challenger).status),
    ),
    "cancel a training run": (
        FROM_ANALYST,
        dialog("serving/trainingrun", "running", "cancel"),
        lambda f: f.fresh(f.running).status,
    ),
    "promote a version": (
        FROM_OPERATOR,
        dialog("serving/modelversion", "candidate", "promote_version"),
        lambda f: f.fresh(f.candidate).status,
    ),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_other_roles_may_not(name: str, furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    roles, act, state = ACTIONS[name]
    for role in EVERYBODY:
        if role not in roles:
            client = as_role(role)
            before = state(furnished)
            response = act(client, furnished)
            assert state(furnished) == before, response.content.decode()[-2000:]
            assert response.status_code < 500


@pytest.mark.parametrize(("name", "role"), [(name, role) for name, (roles, *_) in ACTIONS.items() for role in roles])
def test_actions_are_for_their_roles(
    name: str, role: Role, furnished: Furnished, as_role: Callable[[Role], Client]
) -> None:
    _, act, state = ACTIONS[name]
    client = as_role(role)
    before = state(furnished)
    response = act(client, furnished)
    assert state(furnished) != before, response.content.decode()[-2000:]
    assert response.status_code < 500


@pytest.mark.parametrize(
    "page",
    ["behavior/event", "behavior/identitylink", "decisions/decision", "serving/modelversion", "ads/addecision"],
)
def test_nobody_edits_or_deletes_what_is_append_only(
    page: str, furnished: Furnished, as_role: Callable[[Role], Client]
) -> None:
    row = furnished.rows()[page]
    client = as_role(Role.ADMIN)
    before = furnished.fresh(row).__dict__
    assert client.get(f"/console/{page}/add/").status_code == 403
    assert client.post(f"/console/{page}/{row.pk}/delete/", {"post": "yes"}).status_code == 403
    assert client.post(f"/console/{page}/{row.pk}/change/", {"type": "forged", "number": 9}).status_code == 403
    after = furnished.fresh(row).__dict__
    assert {name: value for name, value in after.items() if name != "_state"} == {
        name: value for name, value in before.items() if name != "_state"
    }


def test_an_analyst_starts_a_run_only_with_enough_data(furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    values = {"model": "other", "task": "next_item", "config": "{}", "auto_promote": "on"}
    before = furnished.count(TrainingRun)
    page = as_role(Role.ANALYST).post("/console/serving/trainingrun/add/", values).content.decode()
    assert "training needs" in page
    machine = as_role(Role.ANALYST).post("/console/serving/trainingrun/add/", values | {"config": '{"threads": 64}'})
    assert "for the operator of the machine" in machine.content.decode()
    refused = as_role(Role.VIEWER).post("/console/serving/trainingrun/add/", values)
    assert refused.status_code == 403
    assert furnished.count(TrainingRun) == before


def test_a_viewer_does_not_see_the_raw_event_in_quarantine(
    furnished: Furnished, as_role: Callable[[Role], Client]
) -> None:
    address = f"/console/behavior/quarantine/{furnished.quarantined.pk}/change/"
    for role in (Role.VIEWER, Role.ANALYST):
        assert "user_id" not in as_role(role).get(address).content.decode()
    assert "user_id" in as_role(Role.OPERATOR).get(address).content.decode()


def test_a_superuser_has_no_rights_by_the_flag(furnished: Furnished) -> None:
    with connected_as("owner"):
        root = User.objects.create_superuser(f"root-{furnished.tenant.id}", password="a long password")
    client = Client()
    client.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    for address in ("/console/", "/console/tenancy/apikey/", f"/console/behavior/event/{furnished.event.pk}/change/"):
        response = client.get(address)
        assert response.status_code == 403
        assert furnished.tenant.name not in response.content.decode()


def test_users_and_groups_have_no_page(as_role: Callable[[Role], Client]) -> None:
    client = as_role(Role.ADMIN)
    assert client.get("/console/auth/user/").status_code == 404
    assert client.get("/console/auth/group/").status_code == 404


def test_quarantine_stays_open_when_nothing_is_chosen(furnished: Furnished, as_role: Callable[[Role], Client]) -> None:
    as_role(Role.OPERATOR).post("/console/behavior/quarantine/", {"action": "discard_rows"})
    assert furnished.fresh(furnished.quarantined).status == Quarantine.Status.OPEN
