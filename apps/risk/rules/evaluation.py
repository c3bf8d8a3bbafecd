"""Rules and lists asked of transactions, on the path of their answer."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
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
from tenancy.kept import Kept
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
    SELECT given.field, given.value, list.name, list.kind
    FROM unnest(%(fields)s::text[], %(values)s::text[]) AS given (field, value)
        JOIN risk_listentry AS entry ON entry.tenant_id = %(tenant)s AND entry.value = given.value
            AND (entry.expires_at IS NULL OR entry.expires_at > now())
        JOIN risk_entitylist AS list
            ON list.tenant_id = %(tenant)s AND list.id = entry.list_id AND list.field = given.field
    ORDER BY list.name"""


# A field that lists are about, and its value.
Entry = tuple[str, str]


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


_book: Kept[Book] = Kept(BOOK_SECONDS)


def judge(transactions: Sequence[Mapping[str, Fact]]) -> list[Judgement]:
    """Ask all rules and lists of the tenant in scope of each transaction, told by the facts of `fields.facts_of`.

    At most two statements, however many there are: the rules once a second, and the lists wherever there are any.
    """
    book = published_book()
    entries = look_up(transactions) if book.has_lists else {}
    return [_judge(facts, book, entries) for facts in transactions]


def _judge(facts: Mapping[str, Fact], book: Book, entries: Mapping[Entry, list[tuple[str, str]]]) -> Judgement:
    listed = [(name, field, kind) for field, value in _listed(facts) for name, kind in entries.get((field, value), ())]
    memberships = {(name, field) for name, field, _ in listed}
    now = timezone.now()
    held = [
        rule
        for rule in book.rules
        if rule.is_due(now) and rule.condition(facts, lambda name, field: (name, field) in memberships)
    ]
    of_lists = [RuleHit(LIST_PREFIX + name, name, 0, LIST_ACTIONS[kind]) for name, _, kind in sorted(listed)]
    return Judgement(
        hits=[*of_lists, *(rule.hit for rule in held if rule.is_live)],
        shadow_hits=[rule.hit for rule in held if not rule.is_live],
    )


def look_up(transactions: Sequence[Mapping[str, Fact]]) -> dict[Entry, list[tuple[str, str]]]:
    """(name, kind) of the lists on which a value of these transactions is, by field and value; one statement."""
    given = sorted({entry for facts in transactions for entry in _listed(facts)})
    if not given:
        return {}
    asked: dict[str, Any] = {
        "tenant": current_tenant_id(),
        "fields": [each[0] for each in given],
        "values": [each[1] for each in given],
    }
    found: dict[Entry, list[tuple[str, str]]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(LOOK_UP, asked)
        for field, value, name, kind in cursor.fetchall():
            found[field, value].append((name, kind))
    return found


def _listed(facts: Mapping[str, Fact]) -> list[Entry]:
    return [(field, value) for field in LISTED if isinstance(value := facts.get(field), str)]


def published_book() -> Book:
    """The tenant's live and shadow rules as they were at most a second ago."""
    return _book.get(None, _read_book)


def _read_book() -> Book:
    with connection.cursor() as cursor:
        cursor.execute(READ_BOOK, {"tenant": current_tenant_id()})
        rows = cursor.fetchall()
    rules = [rule for row in rows if row[1] is not None and (rule := _compiled(*row[1:]))]
    return Book(rules, has_lists=rows[0][0])


def forget_published_book() -> None:
    """What this process remembers of the tenant's rules is read again."""
    _book.forget(None)


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
