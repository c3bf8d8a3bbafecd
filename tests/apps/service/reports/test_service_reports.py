"""Reports: each figure is the one that plain statements and plain arithmetic give for the same conversations."""

import csv
import io
import random
from datetime import UTC, datetime, timedelta
from statistics import fmean, quantiles
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from apps.service.conversations.models import Conversation, Message, Role
from apps.service.replies.models import Reply
from apps.service.replies.settings import put_settings
from apps.service.reports.selectors import report
from decisions.kpi import Period
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient
from tests.queries import CapturedQueries

DAYS = 12
COSTS = {"minutes_per_answer": 4.0, "cost_agent_minute": 0.75, "cost_per_1000_tokens": 0.2, "currency": "USD"}
JUDGED = ("accepted", "edited", "rejected")


@pytest.fixture
def desk(tenant: Tenant) -> Tenant:
    """Eighty conversations of twelve days, each different, and the costs of this desk."""
    with tenant_scope(tenant.id):
        make_conversations(80)
        put_settings(COSTS, actor="test")
    return tenant


def make_conversations(count: int) -> None:
    chance = random.Random(5)
    now = datetime.now(UTC).replace(hour=12)
    conversations, messages, replies = [], [], []
    for _ in range(count):
        opened_at = now - timedelta(days=chance.randrange(DAYS), minutes=chance.randrange(600))
        conversation = Conversation(
            subject_key=chance.randbytes(32),
            channel=chance.choice(["web", "mail"]),
            language=chance.choice(["en", "zh", ""]),
            opened_at=opened_at,
            satisfaction=chance.choice([None, None, 1, 3, 4, 5]),
            handed_off_at=chance.choice([None, None, opened_at]),
        )
        conversations.append(conversation)
        roles = chance.choices([Role.CUSTOMER, Role.AGENT, Role.BOT], [3, 1, 2], k=chance.randrange(6))
        for number, role in enumerate(roles, start=1):
            at = opened_at + timedelta(minutes=number * chance.randrange(1, 40))
            text = f"text {number}"
            message = Message(
                conversation=conversation,
                number=number,
                role=role,
                text=text,
                client_id=f"m-{number}",
                event_id=uuid7(),
                created_at=at,
            )
            messages.append(message)
            if role != Role.CUSTOMER:
                conversation.first_response_at = conversation.first_response_at or at
                continue
            status = chance.choice([*JUDGED, "sent", "waiting"])
            replies.append(
                Reply(
                    conversation=conversation,
                    message=message,
                    decision_id=uuid7(),
                    status=status,
                    action="draft",
                    intent=chance.choice(["returns", "delivery", None]),
                    variant=chance.choice(["model", "words"]),
                    confidence=0.5,
                    backend="selection",
                    tokens=chance.randrange(1_000),
                    edit_distance={"accepted": 0.0, "edited": chance.random()}.get(status),
                    created_at=at,
                )
            )
    Conversation.objects.bulk_create(conversations)
    Message.objects.bulk_create(messages)
    Reply.objects.bulk_create(replies)


def rows(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


def expected(conversations: list[tuple[Any, ...]]) -> dict[str, Any]:
    """From (id, first_response_at, handed_off_at, satisfaction), each figure by a statement of its own."""
    ids = [row[0] for row in conversations]
    chosen = "(" + ",".join(f"'{each}'" for each in ids) + ")"
    columns = "conversation_id, role, created_at"
    said = rows(f"SELECT {columns} FROM service_message WHERE conversation_id IN {chosen} ORDER BY number")
    drafts = rows(
        f"SELECT status, edit_distance, tokens FROM service_reply WHERE conversation_id IN {chosen} ORDER BY id"
    )
    asked = {
        row[0]: min(at for id, role, at in said if id == row[0] and role == "customer")
        for row in conversations
        if any(id == row[0] and role == "customer" for id, role, _ in said)
    }
    roles = {id: [role for other, role, _ in said if other == id] for id in ids}
    last_not_agents = {id: [role for role in roles[id] if role != "agent"][-1:] for id in ids}
    waits = [
        (row[1] - asked[row[0]]).total_seconds()
        for row in conversations
        if row[0] in asked and row[1] is not None and row[1] >= asked[row[0]]
    ]
    sent = [distance for status, distance, _ in drafts if status in ("accepted", "edited")]
    counts = {name: sum(status == name for status, _, _ in drafts) for name in JUDGED}
    ratings = [row[3] for row in conversations if row[3] is not None]
    contained = sum(
        row[0] in asked and last_not_agents[row[0]] == ["bot"] and "agent" not in roles[row[0]] and row[2] is None
        for row in conversations
    )
    answers = sum(role == "agent" for _, role, _ in said)
    tokens = sum(each for _, _, each in drafts)
    agents_cost, tokens_cost = answers * 4.0 * 0.75, tokens / 1000 * 0.2
    return {
        "conversations": len(ids),
        "asked": len(asked),
        "contained": contained,
        "containment": contained / len(asked) if asked else None,
        "handed_off": sum(row[2] is not None for row in conversations),
        "answered": len(waits),
        "first_response_p50": quantile(waits, 50),
        "first_response_p90": quantile(waits, 90),
        **counts,
        "acceptance": counts["accepted"] / sum(counts.values()) if sum(counts.values()) else None,
        "edit_distance": fmean(sent) if sent else None,
        "rated": len(ratings),
        "satisfaction": fmean(ratings) if ratings else None,
        "agent_answers": answers,
        "tokens": tokens,
        "agents_cost": agents_cost,
        "tokens_cost": tokens_cost,
        "cost_per_conversation": (agents_cost + tokens_cost) / len(asked) if asked else None,
    }


def quantile(values: list[float], percent: int) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def check(row: dict[str, Any], where: str) -> None:
    found = rows(
        "SELECT id, first_response_at, handed_off_at, satisfaction FROM service_conversation AS conversation "
        f"WHERE {where}"
    )
    wanted = expected(found)
    assert {name: row[name] for name in wanted} == pytest.approx(wanted), where


def period() -> dict[str, str]:
    today = timezone.now().astimezone(UTC).date()
    return {"since": str(today - timedelta(days=DAYS)), "until": str(today)}


def get(api: ApiClient, **asked: str) -> dict[str, Any]:
    answer = api.get(f"service/reports?{urlencode(period() | asked)}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_every_figure_is_what_plain_statements_say(desk: Tenant, api: ApiClient) -> None:
    found = get(api)
    assert found["currency"] == "USD"
    assert found["total"]["conversations"] == 80
    with tenant_scope(desk.id):
        check(found["total"], "true")
        for row in found["rows"]:
            check(row, f"(opened_at AT TIME ZONE 'UTC')::date = '{row['begins']}'")


@pytest.mark.parametrize(
    ("by", "column"),
    [
        ("channel", "channel"),
        ("language", "CASE language WHEN '' THEN 'unknown' ELSE language END"),
        ("intent", "coalesce(({first}), 'unknown')"),
        ("variant", "coalesce(({first}), 'none')"),
    ],
)
def test_cuts_by_week(desk: Tenant, api: ApiClient, by: str, column: str) -> None:
    first = (
        f"SELECT {by} FROM service_reply AS r WHERE r.conversation_id = conversation.id ORDER BY r.created_at LIMIT 1"
    )
    found = get(api, by=by, bucket="week")
    assert len(found["keys"]) >= 2
    with tenant_scope(desk.id):
        for row in found["keys"]:
            check(row, f"{column.format(first=first)} = '{row['key']}'")
        for row in found["rows"]:
            monday = f"'{row['begins']}T00:00Z'::timestamptz"
            week = f"opened_at >= {monday} AND opened_at < {monday} + interval '7 days'"
            check(row, f"{week} AND {column.format(first=first)} = '{row['key']}'")


def test_a_report_is_one_query_however_much_there_is(desk: Tenant) -> None:
    today = timezone.now().astimezone(UTC).date()
    with tenant_scope(desk.id), CapturedQueries() as queries:
        report(Period(today - timedelta(days=DAYS), today), by="intent")
    assert len(queries) == 1


def test_nobody_elses_conversations_count(desk: Tenant, other_api: ApiClient) -> None:
    found = get(other_api)
    assert (found["rows"], found["keys"]) == ([], [])
    assert found["total"]["conversations"] == 0
    assert found["total"]["satisfaction"] is None


def test_bad_periods_and_cuts_are_refused_by_name(api: ApiClient) -> None:
    answer = api.get("service/reports?since=2026-02-01&until=2026-01-01")
    assert answer.status_code == 400
    assert "since" in answer.content.decode()
    assert api.get("service/reports?by=weather").status_code == 400


def test_the_file_has_the_same_rows_and_runs_nothing(desk: Tenant, api: ApiClient) -> None:
    with tenant_scope(desk.id):
        Reply.objects.update(intent="=1+1")
    found = get(api, by="intent")
    answer = api.get(f"service/reports.csv?{urlencode(period() | {'by': 'intent'})}")
    assert answer.headers["Content-Type"].startswith("text/csv")
    written = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [int(row["conversations"]) for row in written] == [row["conversations"] for row in found["rows"]]
    assert {row["key"] for row in written} == {"'=1+1", "unknown"}
