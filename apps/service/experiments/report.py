"""What an experiment has shown: for each arm how drafts, conversations and customers fared, with intervals."""

from dataclasses import dataclass
from typing import Any

from django.db import connection

from apps.service.experiments.models import Arm, Experiment
from apps.service.experiments.selectors import ARMS
from decisions.experiments import Ratio, difference
from tenancy.scope import current_tenant_id

# Each a rate over conversations, (part, whole) of one conversation.
MEASURES = {
    "acceptance": ("accepted", "accepted + edited + rejected"),
    "edit_distance": ("changed", "accepted + edited"),
    "containment": ("contained", "asked"),
    "satisfaction": ("rating", "rated"),
}
# Whether more is better.
RISING = {"acceptance": True, "edit_distance": False, "containment": True, "satisfaction": True}
SUMS = ", ".join(
    f"count(*) FILTER (WHERE {whole} > 0), coalesce(sum({whole}), 0), coalesce(sum({part}), 0), "
    f"coalesce(sum(({whole}) * ({whole})), 0), coalesce(sum({part} * {part}), 0), coalesce(sum(({whole}) * {part}), 0)"
    for part, whole in MEASURES.values()
)
# Drafts are the experiment's alone; what became of a conversation may have begun before it, in both arms alike.
REPORT = f"""
    WITH drafted AS (
        SELECT conversation_id AS id, min(arm) AS arm, count(*) AS replies,
            (count(*) FILTER (WHERE status = 'accepted'))::float8 AS accepted,
            (count(*) FILTER (WHERE status = 'edited'))::float8 AS edited,
            (count(*) FILTER (WHERE status = 'rejected'))::float8 AS rejected,
            coalesce(sum(edit_distance) FILTER (WHERE status IN ('accepted', 'edited')), 0) AS changed
        FROM service_reply WHERE tenant_id = %(tenant)s AND experiment = %(experiment)s GROUP BY conversation_id
    ),
    fared AS (
        SELECT drafted.*, 1.0::float8 AS asked,
            coalesce(said.bot_has_answered AND said.by_agents = 0 AND conversation.handed_off_at IS NULL, false)
                ::integer::float8 AS contained,
            (conversation.satisfaction IS NOT NULL)::integer::float8 AS rated,
            coalesce(conversation.satisfaction, 0)::float8 AS rating
        FROM drafted
        JOIN service_conversation AS conversation
            ON conversation.tenant_id = %(tenant)s AND conversation.id = drafted.id
        CROSS JOIN LATERAL (
            SELECT count(*) FILTER (WHERE role = 'agent') AS by_agents, max(number) FILTER (WHERE role = 'bot')
                > max(number) FILTER (WHERE role = 'customer') AS bot_has_answered
            FROM service_message AS message
            WHERE message.tenant_id = %(tenant)s AND message.conversation_id = drafted.id
        ) AS said
    )
    SELECT arm, count(*), sum(replies)::bigint, {SUMS} FROM fared GROUP BY arm"""


@dataclass(frozen=True)
class ArmFigures:
    conversations: int
    replies: int
    measures: dict[str, Ratio]


NOTHING = ArmFigures(0, 0, {name: Ratio() for name in MEASURES})


def experiment_report(experiment: Experiment) -> list[dict[str, Any]]:
    """One row an arm, the control first; one statement. Of each measure the `value` with its 95 % `interval`, and for
    the challenger the `difference` to the control with its own, and whether it `is_better`, None while that is
    uncertain."""
    found = _read(experiment)
    control = found.get(Arm.CONTROL, NOTHING)
    return [_row(experiment, arm, found.get(arm, NOTHING), None if arm == Arm.CONTROL else control) for arm in ARMS]


def _row(experiment: Experiment, arm: str, figures: ArmFigures, control: ArmFigures | None) -> dict[str, Any]:
    is_challenger = arm == Arm.CHALLENGER
    return {
        "arm": str(arm),
        "share": experiment.share if is_challenger else 1.0 - experiment.share,
        "version": (experiment.challenger if is_challenger else experiment.control).number,
        "conversations": figures.conversations,
        "replies": figures.replies,
        "measures": {
            name: _measure(name, ratio, control.measures[name] if control else None)
            for name, ratio in figures.measures.items()
        },
    }


def _measure(name: str, ratio: Ratio, control: Ratio | None) -> dict[str, Any]:
    against = difference(ratio, control) if control else None
    is_certain = against is not None and not against[1][0] <= 0 <= against[1][1]
    return {
        "conversations": ratio.units,
        "value": ratio.value,
        "interval": list(ratio.interval) if ratio.interval else None,
        "difference": against[0] if against else None,
        "difference_interval": list(against[1]) if against else None,
        "is_better": (against[0] > 0) == RISING[name] if against and is_certain else None,
    }


def _read(experiment: Experiment) -> dict[str, ArmFigures]:
    with connection.cursor() as cursor:
        cursor.execute(REPORT, {"tenant": current_tenant_id(), "experiment": experiment.id})
        rows = cursor.fetchall()
    found = {}
    for arm, conversations, replies, *sums in rows:
        each = [Ratio(int(sums[at]), *map(float, sums[at + 1 : at + 6])) for at in range(0, len(sums), 6)]
        found[arm] = ArmFigures(conversations, replies, dict(zip(MEASURES, each, strict=True)))
    return found
