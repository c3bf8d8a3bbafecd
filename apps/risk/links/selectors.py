"""Who is tied to whom: subjects that used the same cards, devices and addresses, and the counterparties of frauds."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from tenancy.scope import current_tenant_id
from tenancy.secrets import public_subject_id

SHARED = {"card": "card_key", "device": "device_key", "address": "address_key"}
# Of each party's transactions the newest are read, and of those who are found the most connected are shown.
READ = 2_000
MOST_THINGS = 20
MOST_SUBJECTS = 40
OWN = """
    SELECT card_key, device_key, address_key, counterparty, fraud_known_at IS NOT NULL AND cleared_at IS NULL
    FROM risk_transaction WHERE tenant_id = %(tenant)s AND subject_key = %(subject)s
    ORDER BY occurred_at DESC LIMIT %(read)s"""
OTHERS = """
    SELECT used.thing, used.subject_key, count(*), count(*) FILTER (WHERE used.is_fraud)
    FROM unnest(%(things)s::bytea[]) AS wanted(thing) CROSS JOIN LATERAL (
        SELECT wanted.thing, subject_key, fraud_known_at IS NOT NULL AND cleared_at IS NULL AS is_fraud
        FROM risk_transaction WHERE tenant_id = %(tenant)s AND {column} = wanted.thing
        ORDER BY {order} LIMIT %(read)s
    ) AS used
    WHERE used.subject_key <> %(subject)s
    GROUP BY 1, 2"""
# An address has no index by time; a plain walk through its rows is bounded all the same.
ORDERS = {"card": "occurred_at DESC", "device": "occurred_at DESC", "address": "address_key"}


@dataclass(frozen=True)
class Node:
    """A party. `key` is its place in the list; `frauds` of its `transactions` are known."""

    key: int
    kind: str
    label: str
    transactions: int
    frauds: int


@dataclass(frozen=True)
class Edge:
    """That the parties have `transactions` together."""

    one: int
    other: int
    transactions: int


@dataclass(frozen=True)
class Links:
    """The subject is the first node. `left_out` counts other subjects that were found and are not among the nodes."""

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    left_out: int


Thing = tuple[str, bytes]


def links_of(subject_key: bytes) -> Links:
    """The subject's cards, devices and addresses with the other subjects that used them, and the counterparties where
    it was defrauded. At most four queries, each bounded."""
    rows = _transactions(subject_key)
    counts, frauds, places = _own(rows)
    things = _most_telling(counts, frauds)
    used: dict[bytes, dict[Thing, tuple[int, int]]] = defaultdict(dict)
    for thing, subject, transactions, known in _others(subject_key, things):
        used[subject][thing] = (transactions, known)
    return _graph(subject_key, rows, things, counts, frauds, places, used)


def sharing_subjects(subject_key: bytes, *, most_subjects: int) -> dict[bytes, dict[str, int]]:
    """Other subjects that used the same cards, devices and addresses: of each how many of these, by kind.

    What more than `most_subjects` others used is left out: a library's computer ties nobody. Bounded as `links_of`.
    """
    counts, frauds, _ = _own(_transactions(subject_key))
    users: dict[Thing, list[bytes]] = defaultdict(list)
    for thing, subject, *_ in _others(subject_key, _most_telling(counts, frauds)):
        users[thing].append(subject)
    shared: dict[bytes, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (kind, _), subjects in users.items():
        for subject in subjects if len(subjects) <= most_subjects else ():
            shared[subject][kind] += 1
    return {subject: dict(kinds) for subject, kinds in shared.items()}


def _transactions(subject_key: bytes) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(OWN, {"tenant": current_tenant_id(), "subject": subject_key, "read": READ})
        return cursor.fetchall()


def _most_telling(counts: dict[Thing, int], frauds: dict[Thing, int]) -> list[Thing]:
    return sorted(counts, key=lambda thing: (-frauds[thing], -counts[thing], thing))[:MOST_THINGS]


def _others(subject_key: bytes, things: Sequence[Thing]) -> Iterator[tuple[Thing, bytes, int, int]]:
    """(thing, other subject, its transactions with it, known frauds among them)."""
    values: dict[str, Any] = {"tenant": current_tenant_id(), "subject": subject_key, "read": READ}
    for kind, column in SHARED.items():
        asked = [thing for each, thing in things if each == kind]
        if not asked:
            continue
        with connection.cursor() as cursor:
            cursor.execute(OTHERS.format(column=column, order=ORDERS[kind]), values | {"things": asked})
            for thing, subject, transactions, known in cursor.fetchall():
                yield (kind, bytes(thing)), bytes(subject), transactions, known


def _own(rows: Sequence[tuple[Any, ...]]) -> tuple[dict[Thing, int], dict[Thing, int], dict[str, int]]:
    counts: dict[Thing, int] = defaultdict(int)
    frauds: dict[Thing, int] = defaultdict(int)
    places: dict[str, int] = defaultdict(int)
    for *keys, counterparty, is_fraud in rows:
        for kind, key in zip(SHARED, keys, strict=True):
            if key is not None:
                counts[kind, bytes(key)] += 1
                frauds[kind, bytes(key)] += is_fraud
        if is_fraud and counterparty:
            places[counterparty] += 1
    return counts, frauds, places


def _graph(
    subject_key: bytes,
    rows: Sequence[tuple[Any, ...]],
    things: Sequence[Thing],
    counts: dict[Thing, int],
    frauds: dict[Thing, int],
    places: dict[str, int],
    used: dict[bytes, dict[Thing, tuple[int, int]]],
) -> Links:
    nodes = [Node(0, "subject", public_subject_id(subject_key), len(rows), sum(row[-1] for row in rows))]
    edges: list[Edge] = []
    place: dict[Thing, int] = {}
    for kind, key in things:
        place[kind, key] = len(nodes)
        edges.append(Edge(0, len(nodes), counts[kind, key]))
        nodes.append(Node(len(nodes), kind, public_subject_id(key), counts[kind, key], frauds[kind, key]))
    for counterparty, known in sorted(places.items(), key=lambda each: -each[1])[:MOST_THINGS]:
        edges.append(Edge(0, len(nodes), known))
        nodes.append(Node(len(nodes), "counterparty", counterparty, known, known))

    def weight(subject: bytes) -> tuple[int, int, bytes]:
        return -sum(known for _, known in used[subject].values()), -len(used[subject]), subject

    shown = sorted(used, key=weight)[:MOST_SUBJECTS]
    for subject in shown:
        together = used[subject]
        transactions, known = (sum(column) for column in zip(*together.values(), strict=True))
        edges += [Edge(place[thing], len(nodes), count) for thing, (count, _) in together.items()]
        nodes.append(Node(len(nodes), "subject", public_subject_id(subject), transactions, known))
    return Links(nodes, edges, len(used) - len(shown))
