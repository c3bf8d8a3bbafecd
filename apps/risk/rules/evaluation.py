"""Rules and lists asked of one transaction, on the path of its answer."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.db import connection
from django.utils import timezone

from apps.risk.lists.models import ListKind
from apps.risk.rules.fields import read_expression
from apps.risk.rules.language.parser import LISTED
from apps.risk.rules.language.single import Evaluator, compile_expression
from apps.risk.rules.language.syntax import ExpressionError, Fact
from apps.risk.rules.models import RiskAction, RiskRuleMode, RiskSeverity
from tenancy.scope import current_tenant_id

log = structlog.get_logger(__name__)

# A change reaches every process within this time, and a busy process reads the rules once in it.
BOOK_SECONDS = 1.0
LIST_PREFIX = "list:"
LIST_ACTIONS = {
    ListKind.ALLOW.value: RiskAction.APPROVE.value,
    ListKind.DENY.value: RiskAction.DECLINE.value,
    ListKind.WATCH.value: RiskAction.ALERT.value,
}
# One row for each rule, and one without a rule where there is none; all rows say whether any list has an entry.
READ_BOOK = """
    SELECT lists.any_entry, rule.key, rule.name, rule.version, rule.action, rule.severity, rule.mode, rule.expression,
        rule.starts_at, rule.ends_at
    FROM (SELECT EXISTS (SELECT FROM risk_listentry WHERE tenant_id = %(tenant)s) AS any_entry) AS lists
        LEFT JOIN risk_riskrule AS rule ON rule.tenant_id = %(tenant)s AND rule.removed_at IS NULL
            AND rule.mode IN ('live', 'shadow') AND (rule.ends_at IS NULL OR rule.ends_at > now())
    ORDER BY rule.priority DESC, rule.key"""
LOOK_UP = """
    SELECT list.name, list.field, list.kind
    FROM unnest(%(fields)s::text[], %(values)s::text[]) AS given (field, value)
        JOIN risk_listentry AS entry ON entry.tenant_id = %(tenant)s AND entry.value = given.value
            AND (entry.expires_at IS NULL OR entry.expires_at > now())
        JOIN risk_entitylist AS list
            ON list.tenant_id = %(tenant)s AND list.id = entry.list_id AND list.field = given.field
    ORDER BY list.name"""


@dataclass(frozen=True)
class RuleHit:
    """A rule that holds, or a list that the transaction is on: its key is then `list:` and the name, its version 0."""

    key: str
    name: str
    version: int
    action: str
    severity: str = RiskSeverity.MEDIUM.value


@dataclass(frozen=True)
class Judgement:
    """`hits` ask for something, lists first, then rules by falling priority; `shadow_hits` would have, were they live.

    The hits may contradict each other; who asks weighs their actions.
    """

    hits: list[RuleHit]
    shadow_hits: list[RuleHit]


@dataclass(frozen=True)
class CompiledRule:
    hit: RuleHit
    is_live: bool
    condition: Evaluator
    starts_at: datetime | None
    ends_at: datetime | None

    def is_due(self, now: datetime) -> bool:
        return (self.starts_at is None or self.starts_at <= now) and (self.ends_at is None or now < self.ends_at)


@dataclass(frozen=True)
class Book:
    rules: list[CompiledRule]
    has_lists: bool


_books: dict[int, tuple[float, Book]] = {}


def judge(facts: Mapping[str, Fact]) -> Judgement:
    """Ask all rules and lists of the tenant in scope; facts are those of `fields.facts_of`.

    At most two statements: the rules once a second, and the lists wherever there are any.
    """
    book = published_book()
    listed = look_up(facts) if book.has_lists else []
    memberships = {(name, field) for name, field, _ in listed}
    now = timezone.now()
    held = [
        rule
        for rule in book.rules
        if rule.is_due(now) and rule.condition(facts, lambda name, field: (name, field) in memberships)
    ]
    of_lists = [RuleHit(LIST_PREFIX + name, name, 0, LIST_ACTIONS[kind]) for name, _, kind in listed]
    return Judgement(
        hits=[*of_lists, *(rule.hit for rule in held if rule.is_live)],
        shadow_hits=[rule.hit for rule in held if not rule.is_live],
    )


def look_up(facts: Mapping[str, Fact]) -> list[tuple[str, str, str]]:
    """(name, field, kind) of each list that one of the facts is on."""
    given = {field: value for field in LISTED if isinstance(value := facts.get(field), str)}
    if not given:
        return []
    with connection.cursor() as cursor:
        cursor.execute(LOOK_UP, {"tenant": current_tenant_id(), "fields": list(given), "values": list(given.values())})
        return cursor.fetchall()


def published_book() -> Book:
    """The tenant's live and shadow rules as they were at most a second ago."""
    kept = _books.get(current_tenant_id())
    if kept is not None and time.monotonic() - kept[0] < BOOK_SECONDS:
        return kept[1]
    with connection.cursor() as cursor:
        cursor.execute(READ_BOOK, {"tenant": current_tenant_id()})
        rows = cursor.fetchall()
    rules = [rule for row in rows if row[1] is not None and (rule := _compiled(*row[1:]))]
    book = Book(rules, has_lists=rows[0][0])
    _books[current_tenant_id()] = (time.monotonic(), book)
    return book


def forget_published_book() -> None:
    """What this process remembers of the tenant's rules is read again."""
    _books.pop(current_tenant_id(), None)


def _compiled(
    key: str,
    name: str,
    version: int,
    action: str,
    severity: str,
    mode: str,
    expression: str,
    starts_at: datetime | None,
    ends_at: datetime | None,
) -> CompiledRule | None:
    try:
        condition: Any = compile_expression(read_expression(expression))
    except ExpressionError as error:
        # A rule on a field that is gone takes no answer with it.
        log.warning("risk_rule_unusable", rule=key, error=str(error))
        return None
    hit = RuleHit(key, name, version, action, severity)
    return CompiledRule(hit, mode == RiskRuleMode.LIVE, condition, starts_at, ends_at)
