"""What agents make of drafts: each is sent once, and each is a label."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from apps.service.conversations.models import Message
from apps.service.knowledge.services import change_source, set_status
from apps.service.replies.judging import AlreadyJudged, accept_reply, edit_reply
from behavior.models import Event
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.apps.service.conftest import Desk
from tests.conftest import ApiClient


def test_an_agent_accepts_edits_and_rejects_and_each_is_a_label(
    open_desk: Callable[..., Desk], shop: dict[str, Any], api: ApiClient, tenant: Tenant
) -> None:
    drafts = []
    for _ in range(3):
        desk = open_desk()
        drafts.append((desk, desk.ask("Where is my order?")))
    accept, edit, reject = (f"replies/{reply['id']}/judgement" for _, reply in drafts)
    accepted = api.post(accept, {"judgement": "accept"})
    edited = api.post(edit, {"judgement": "edit", "text": "It comes soon."})
    rejected = api.post(reject, {"judgement": "reject", "note": "wrong macro"})
    assert [each.json()["status"] for each in (accepted, edited, rejected)] == ["accepted", "edited", "rejected"]
    assert accepted.json()["edit_distance"] == 0
    assert edited.json()["edit_distance"] > 0.5
    assert [desk.read()["messages"][-1]["text"] for desk, _ in drafts] == [
        drafts[0][1]["reply"],
        "It comes soon.",
        "Where is my order?",
    ]
    assert api.post(accept, {"judgement": "accept"}).json() == accepted.json()
    assert api.post(accept, {"judgement": "reject"}).status_code == 409
    with tenant_scope(tenant.id):
        types = list(Event.objects.filter(type__startswith="reply_").values_list("type", "value"))
        assert Message.objects.filter(role="agent").count() == 2
    assert sorted(types) == [
        ("reply_accepted", 0.0),
        ("reply_edited", edited.json()["edit_distance"]),
        ("reply_rejected", None),
    ]


@pytest.mark.parametrize("change", [{"status": "retired"}, {"body": "You can return an item within 14 days."}])
def test_a_draft_is_not_accepted_when_its_article_is_retired_or_changed(
    desk: Desk, shop: dict[str, Any], api: ApiClient, tenant: Tenant, change: dict[str, str]
) -> None:
    draft = desk.ask("How many days do I have to return an item after delivery?")
    article = {"source_id": shop["returns"].id, "kind": "article", "actor": "somebody"}
    with tenant_scope(tenant.id):
        set_status(**article, **change) if "status" in change else change_source(**article, changes=change)
    path = f"replies/{draft['id']}/judgement"

    refused = api.post(path, {"judgement": "accept"})

    assert refused.status_code == 409
    assert "'Returning an item' is retired or changed" in refused.json()["detail"]
    assert api.post(path, {"judgement": "edit", "text": "I ask and write to you."}).json()["status"] == "edited"


def test_the_same_judgement_again_is_none_unless_somebody_else_makes_it(
    desk: Desk, shop: dict[str, Any], tenant: Tenant
) -> None:
    reply = desk.ask("Where is my order?")
    with tenant_scope(tenant.id):
        first = edit_reply(reply_id=reply["id"], text=reply["reply"], actor="anna")
        again = edit_reply(reply_id=reply["id"], text=reply["reply"], actor="anna")
        assert (first.status, again.settled_at) == ("accepted", first.settled_at)
        with pytest.raises(AlreadyJudged, match="accepted by anna"):
            accept_reply(reply_id=reply["id"], actor="ben")


def test_agents_behind_one_key_are_told_apart_by_their_names(
    desk: Desk, api: ApiClient, publish: Callable[..., Any]
) -> None:
    publish("Opening hours", "We are open from 9 to 5. {{agent.name}} greets you.", kind="macro")
    path = f"replies/{desk.ask('What are your opening hours?')['id']}/judgement"

    unnamed = api.post(path, {"judgement": "accept"})
    anna = api.post(path, {"judgement": "accept", "author": "Anna"})
    again = api.post(path, {"judgement": "accept", "author": "Anna"})
    ben = api.post(path, {"judgement": "accept", "author": "Ben"})

    assert [each.status_code for each in (unnamed, anna, again, ben)] == [400, 200, 200, 409]
    assert anna.json()["judged_by"] == "Anna"
    message = desk.read()["messages"][-1]
    assert (message["author"], message["text"]) == ("Anna", "We are open from 9 to 5. Anna greets you.")


def test_one_draft_judged_by_many_at_once_is_sent_once(desk: Desk, shop: dict[str, Any], tenant: Tenant) -> None:
    reply = desk.ask("Where is my order?")

    def judge(number: int) -> int:
        try:
            text = {"judgement": "edit", "text": f"Version {number}"}
            return int(desk.api.post(f"replies/{reply['id']}/judgement", text).status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(judge, range(6)))

    assert statuses == [200, 409, 409, 409, 409, 409]
    with tenant_scope(tenant.id):
        assert Message.objects.filter(role="agent").count() == 1
