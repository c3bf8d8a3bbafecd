"""Customer service in the console: settings with the risk-coverage curve, backends whose keys nobody sees, reports."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.service.conversations.models import Conversation, Message
from apps.service.replies.backends.choosing import put_backends, ready
from apps.service.replies.backends.openai_compatible import OpenAICompatibleBackend
from apps.service.replies.models import Reply, ReplyBackend
from apps.service.replies.picture import HEIGHT, WIDTH, picture_of
from apps.service.replies.settings import ServiceSettings, current_settings, read_settings
from apps.service.replies.thresholds import read_labels, sent_above, suggest_threshold
from decisions.editing import scenario_changes
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator

SETTINGS = "/console/service/servicereport/settings/"
BACKENDS = "/console/service/replybackend/"
SERVER = "http://models.example:8000"
OURS = {"name": "ours", "kind": "openai_compatible", "base_url": f"{SERVER}/v1", "model": "m"}
DEFAULTS: dict[str, Any] = {
    name: ", ".join(value) if isinstance(value, list) else "" if value is None else value
    for name, value in ServiceSettings().to_dict().items()
    if value is not False
}


@pytest.fixture
def browser(tenant: Tenant, settings: Any) -> Callable[[Role], Client]:
    """browser(Role.OPERATOR) is that of a member; from then on the process is the console."""

    def browser(role: Role) -> Client:
        settings.MIDDLEWARE = settings.MIDDLEWARE_BY_PROCESS["console"]
        settings.ROOT_URLCONF = "config.urls_console"
        settings.REPLY_SERVERS = [SERVER]
        with connected_as("console"):
            return logged_in(make_operator(tenant, role, f"{role}@{tenant.slug}.example"))

    return browser


def get(client: Client, path: str) -> str:
    with connected_as("console"):
        answer = client.get(path)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def post(client: Client, path: str, **fields: Any) -> Any:
    with connected_as("console"):
        return client.post(path, fields)


def settings_page(client: Client) -> str:
    with connected_as("console"):
        return str(client.get(SETTINGS).headers["Location"])


def save(client: Client, path: str, **settings: Any) -> Any:
    fields = {f"setting_{name}": value for name, value in (DEFAULTS | settings).items()}
    return post(client, path, name="Replies", model="replies", is_active="on", **fields)


def judge_drafts(count: int) -> None:
    """Drafts of which the surer ones were accepted more often."""
    chance = random.Random(3)
    conversation = Conversation.objects.create(subject_key=bytes(32), channel="web", opened_at="2026-01-01T00:00Z")
    for number in range(1, count + 1):
        at = "2026-01-01T00:00Z"
        message = Message.objects.create(
            conversation=conversation,
            number=number,
            role="customer",
            text="hi",
            client_id=f"m-{number}",
            event_id=uuid7(),
            created_at=at,
        )
        confidence = chance.random()
        Reply.objects.create(
            conversation=conversation,
            message=message,
            decision_id=uuid7(),
            action="draft",
            confidence=confidence,
            status="accepted" if chance.random() < 0.6 + 0.8 * confidence else "rejected",
            backend="selection",
            created_at=at,
            settled_at=at,
        )


def test_the_curve_shows_what_would_be_sent(tenant: Tenant, browser: Callable[[Role], Client]) -> None:
    with tenant_scope(tenant.id):
        judge_drafts(300)
        judged = read_labels()
        suggestion = suggest_threshold(ServiceSettings(error_rate=0.1), judged)
    assert suggestion.send_above is not None
    client = browser(Role.OPERATOR)
    page = settings_page(client)
    assert "Wrong replies allowed" in get(client, page)
    shown = save(client, page.replace("change/", "preview/"), error_rate=0.1, send_above=0.9).content.decode()
    assert "From 300 drafts that agents judged" in shown
    sent = sent_above(suggestion.send_above, judged)
    assert sent is not None
    assert f"{100 * sent.coverage:.0f} % are sent, {100 * sent.risk:.1f} % of these wrong" in shown
    # Nothing is kept of a look.
    with tenant_scope(tenant.id):
        assert read_settings() == ServiceSettings()


def test_without_labels_the_picture_says_what_is_missing(browser: Callable[[Role], Client]) -> None:
    client = browser(Role.OPERATOR)
    page = settings_page(client)
    assert (
        "agents have judged no draft that could be sent"
        in save(client, page.replace("change/", "preview/")).content.decode()
    )


def test_a_changed_error_rate_is_kept_and_can_be_undone(tenant: Tenant, browser: Callable[[Role], Client]) -> None:
    client = browser(Role.OPERATOR)
    page = settings_page(client)
    assert save(client, page, error_rate=0.02, send_above=0.8, retrain="weekly").status_code == 302
    with tenant_scope(tenant.id):
        assert (read_settings().error_rate, read_settings().send_above, read_settings().retrain) == (
            0.02,
            0.8,
            "weekly",
        )
        (change,) = scenario_changes("replies")
    assert "settings.error_rate" in get(client, page)
    post(client, page.replace("change/", f"undo/{change.id}/"))
    with tenant_scope(tenant.id):
        assert read_settings() == ServiceSettings()
    assert "must be a number from 0 to 1" in save(client, page, error_rate=3).content.decode()


def test_who_only_looks_changes_nothing(tenant: Tenant, browser: Callable[[Role], Client]) -> None:
    client = browser(Role.VIEWER)
    assert save(client, settings_page(client), error_rate=0.02).status_code == 403
    assert post(client, f"{BACKENDS}add/", **OURS, place=1, timeout_seconds=20).status_code == 403
    with tenant_scope(tenant.id):
        assert current_settings() == ServiceSettings()
        assert not ReplyBackend.objects.exists()


def test_backends_are_ordered_and_keys_never_shown(tenant: Tenant, browser: Callable[[Role], Client]) -> None:
    client = browser(Role.OPERATOR)
    fields = {**OURS, "key": "secret-1", "place": 1, "timeout_seconds": 20, "is_active": "on"}
    assert post(client, f"{BACKENDS}add/", **fields).status_code == 302
    extractive = {"name": "sentences", "kind": "extractive", "place": 1, "timeout_seconds": 20, "is_active": "on"}
    assert post(client, f"{BACKENDS}add/", **extractive).status_code == 302
    with tenant_scope(tenant.id):
        rows = {row.name: row for row in ReplyBackend.objects.all()}
    assert [rows[name].position for name in ("sentences", "ours")] == [0, 1]
    page = f"{BACKENDS}{rows['ours'].id}/change/"
    for shown in (get(client, page), get(client, BACKENDS)):
        assert "secret-1" not in shown
        assert "ours" in shown
    # Another place and no key: the key stays, and so does the address of the page.
    moved = {**OURS, "key": "", "place": 1, "timeout_seconds": 5, "is_active": "on"}
    assert post(client, page, **moved).status_code == 302
    with tenant_scope(tenant.id):
        ours = ReplyBackend.objects.get(id=rows["ours"].id)
        backend = ready(ours)
    assert (ours.position, ours.timeout_seconds) == (0, 5.0)
    assert isinstance(backend, OpenAICompatibleBackend)
    assert backend.key == "secret-1"
    # A key that went to another server would be given away: a new address takes a new key.
    refused = post(client, page, **{**moved, "base_url": "http://elsewhere.example/v1"})
    assert "no server that the operator of this suite allows" in refused.content.decode()
    assert post(client, f"{BACKENDS}{ours.id}/delete/", post="yes").status_code == 302
    with tenant_scope(tenant.id):
        assert list(ReplyBackend.objects.values_list("name", "position")) == [("sentences", 0)]


def test_another_tenants_backends_cannot_be_changed(
    tenant: Tenant, other_tenant: Tenant, settings: Any, browser: Callable[[Role], Client]
) -> None:
    settings.REPLY_SERVERS = [SERVER]
    with tenant_scope(other_tenant.id):
        (row,) = put_backends(wanted=[{**OURS, "key": "theirs"}], actor="test")
    client = browser(Role.OPERATOR)
    answer = post(client, f"{BACKENDS}{row.id}/change/", **OURS, place=1, timeout_seconds=5)
    assert answer.status_code in (302, 404)
    with tenant_scope(other_tenant.id):
        assert ReplyBackend.objects.get().timeout_seconds == 20.0


def test_the_report_page_says_what_the_api_says(tenant: Tenant, browser: Callable[[Role], Client]) -> None:
    client = browser(Role.ANALYST)
    assert "No conversation was opened" in get(client, "/console/service/servicereport/")
    with tenant_scope(tenant.id):
        Conversation.objects.create(subject_key=bytes(32), channel="web", opened_at=timezone.now(), satisfaction=4)
    for query in ("", "?days=90", "?by=channel", "?by=intent&days=7"):
        assert "4.00" in get(client, f"/console/service/servicereport/{query}")
    with connected_as("console"):
        answer = client.get("/console/service/servicereport/export/?by=channel")
    assert b",web,1,0," in answer.content


def test_every_part_of_the_picture_lies_within_it() -> None:
    curve = [{"coverage": share / 20, "risk": share / 100, "risk_bound": 2 * share / 100} for share in range(1, 21)]
    picture = picture_of(curve, {"now": None, "then": None}, error_rate=0.05)
    places = [pair.split(",") for line in (picture.risk, picture.bound) for pair in line.split()]
    assert len(places) == 40
    assert all(0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT for x, y in places)
    assert picture.points == []
