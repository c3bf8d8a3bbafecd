"""What became of conversations, by the day or week in which they were opened.

Everything is counted of conversations opened in the period, with all that has come of them until now, so that each
figure is about the same customers.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db import connection

from apps.service.replies.settings import ServiceSettings
from decisions.counting import first_id_since
from decisions.kpi import Period
from tenancy.scope import current_tenant_id

BUCKETS = ("day", "week")
# By what rows are cut besides; "variant" is what chose the first reply: model or words.
CUTS = ("channel", "language", "intent", "variant")
KEYS = {
    "": "''",
    "channel": "conversation.channel",
    "language": "coalesce(nullif(conversation.language, ''), 'unknown')",
    "intent": "coalesce(first.intent, 'unknown')",
    "variant": "coalesce(nullif(first.variant, ''), 'none')",
}
FIRST_REPLY = """
    LEFT JOIN LATERAL (
        SELECT intent, variant FROM service_reply AS reply
        WHERE reply.tenant_id = conversation.tenant_id AND reply.conversation_id = conversation.id
        ORDER BY reply.created_at LIMIT 1
    ) AS first ON true"""
REPORT = """
    WITH opened AS MATERIALIZED (
        SELECT conversation.id, date_trunc(%(bucket)s, conversation.opened_at AT TIME ZONE 'UTC')::date AS begins,
            {key} AS key, conversation.first_response_at, conversation.handed_off_at, conversation.satisfaction
        FROM service_conversation AS conversation {joined}
        WHERE conversation.tenant_id = %(tenant)s AND conversation.id >= %(first_id)s
            AND conversation.opened_at >= %(since)s AND conversation.opened_at < %(until)s
    ),
    said AS (
        SELECT message.conversation_id AS id, min(message.created_at) FILTER (WHERE role = 'customer') AS asked_at,
            count(*) FILTER (WHERE role = 'agent') AS by_agents, max(number) FILTER (WHERE role = 'bot')
                > max(number) FILTER (WHERE role = 'customer') AS bot_has_answered
        FROM opened JOIN service_message AS message
            ON message.tenant_id = %(tenant)s AND message.conversation_id = opened.id
        GROUP BY message.conversation_id
    ),
    drafted AS (
        SELECT reply.conversation_id AS id, count(*) FILTER (WHERE status = 'accepted') AS accepted,
            count(*) FILTER (WHERE status = 'edited') AS edited,
            count(*) FILTER (WHERE status = 'rejected') AS rejected,
            sum(edit_distance) FILTER (WHERE status IN ('accepted', 'edited')) AS changed, sum(tokens) AS tokens
        FROM opened JOIN service_reply AS reply
            ON reply.tenant_id = %(tenant)s AND reply.conversation_id = opened.id
        GROUP BY reply.conversation_id
    )
    SELECT GROUPING(begins) = 1, begins, GROUPING(key) = 1, key, count(*), count(said.asked_at),
        count(*) FILTER (WHERE said.bot_has_answered AND said.by_agents = 0 AND opened.handed_off_at IS NULL),
        count(*) FILTER (WHERE opened.handed_off_at IS NOT NULL),
        count(*) FILTER (WHERE opened.first_response_at >= said.asked_at),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM opened.first_response_at - said.asked_at))
            FILTER (WHERE opened.first_response_at >= said.asked_at),
        percentile_cont(0.9) WITHIN GROUP (ORDER BY extract(epoch FROM opened.first_response_at - said.asked_at))
            FILTER (WHERE opened.first_response_at >= said.asked_at),
        coalesce(sum(drafted.accepted), 0)::bigint, coalesce(sum(drafted.edited), 0)::bigint,
        coalesce(sum(drafted.rejected), 0)::bigint,
        coalesce(sum(drafted.changed), 0)::float8, count(opened.satisfaction), avg(opened.satisfaction)::float8,
        coalesce(sum(said.by_agents), 0)::bigint, coalesce(sum(drafted.tokens), 0)::bigint
    FROM opened LEFT JOIN said USING (id) LEFT JOIN drafted USING (id)
    GROUP BY GROUPING SETS ((begins, key), (key), ())
    ORDER BY begins NULLS LAST, key"""


@dataclass(frozen=True)
class Figures:
    """Of conversations: those that were opened, in which a customer wrote, whose last message of the customer the bot
    answered and no agent saw (`contained`), that were handed off, answered, and rated. Of drafts: accepted, edited,
    rejected, and the sum of edit distances of those that were sent. Times in seconds; None where nothing is there to
    tell them from."""

    conversations: int = 0
    asked: int = 0
    contained: int = 0
    handed_off: int = 0
    answered: int = 0
    first_response_p50: float | None = None
    first_response_p90: float | None = None
    accepted: int = 0
    edited: int = 0
    rejected: int = 0
    changed: float = 0.0
    rated: int = 0
    satisfaction: float | None = None
    agent_answers: int = 0
    tokens: int = 0

    @property
    def containment(self) -> float | None:
        """Share of the conversations in which a customer wrote that needed no agent."""
        return _share(self.contained, self.asked)

    @property
    def acceptance(self) -> float | None:
        """Share of the judged drafts that were sent as they were."""
        return _share(self.accepted, self.accepted + self.edited + self.rejected)

    @property
    def edit_distance(self) -> float | None:
        """Mean share of a sent draft that its agent changed, 0 to 1."""
        return _share(self.changed, self.accepted + self.edited)

    def agents_cost(self, settings: ServiceSettings) -> float:
        return self.agent_answers * settings.minutes_per_answer * settings.cost_agent_minute

    def tokens_cost(self, settings: ServiceSettings) -> float:
        return self.tokens / 1000 * settings.cost_per_1000_tokens


@dataclass(frozen=True)
class Row:
    """`begins` is the bucket's first day (UTC), None for the whole period; `key` the value of the cut, "" without."""

    begins: date | None
    key: str
    figures: Figures

    def to_dict(self, settings: ServiceSettings) -> dict[str, Any]:
        agents, tokens = self.figures.agents_cost(settings), self.figures.tokens_cost(settings)
        values = asdict(self.figures)
        del values["changed"]
        return {
            "begins": self.begins.isoformat() if self.begins else None,
            "key": self.key,
            **values,
            "containment": self.figures.containment,
            "acceptance": self.figures.acceptance,
            "edit_distance": self.figures.edit_distance,
            "agents_cost": agents,
            "tokens_cost": tokens,
            "cost_per_conversation": _share(agents + tokens, self.figures.asked),
        }


@dataclass(frozen=True)
class Report:
    """`rows` by bucket and key; `keys` the same for the whole period by key, `total` for all of it."""

    period: Period
    rows: list[Row]
    keys: list[Row]
    total: Row


def report(period: Period, *, bucket: str = "day", by: str = "") -> Report:
    """One query; `by` is one of CUTS, or nothing."""
    since = datetime.combine(period.since, time(), UTC)
    values: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "bucket": bucket,
        "since": since,
        "until": datetime.combine(period.until, time(), UTC) + timedelta(days=1),
        "first_id": first_id_since(since),
    }
    joined = FIRST_REPLY if by in ("intent", "variant") else ""
    with connection.cursor() as cursor:
        cursor.execute(REPORT.format(key=KEYS[by], joined=joined), values)
        found = cursor.fetchall()
    rows, keys, total = [], [], Row(None, "", Figures())
    for is_period, begins, is_total, key, *figures in found:
        row = Row(begins, key or "", Figures(*figures))
        if is_total:
            total = row
        elif is_period:
            keys.append(row)
        else:
            rows.append(row)
    return Report(period, rows, keys, total)


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
