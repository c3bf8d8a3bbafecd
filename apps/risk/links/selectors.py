"""Who is tied to whom: subjects that used the same cards, devices and addresses, or paid the same counterparties."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from tenancy.scope import current_tenant_id
from tenancy.secrets import public_subject_id

SHARED = {"card": "card_key", "device": "device_key", "address": "address_key", "counterparty": "counterparty"}
# Of each party's transactions the newest are read, and of those who are found the most connected are shown.
READ = 2_000
# Of a counterparty fewer tell a mule from a shop, for each subject that it may tie; most counterparties are shops.
READ_FOR_EACH = 10
MOST_THINGS = 20
MOST_SUBJECTS = 40
OWN = """
    SELECT card_key, device_key, address_key, counterparty, fraud_known_at IS NOT NULL AND cleared_at IS NULL
    FROM risk_transaction WHERE tenant_id = %(tenant)s AND subject_key = %(subject)s
    ORDER BY occurred_at DESC LIMIT %(read)s"""
OTHERS = """
    SELECT used.thing, used.subject_key, count(*), count(*) FILTER (WHERE used.is_fraud)
    FROM {wanted} AS wanted(thing) CROSS JOIN LATERAL (
        SELECT wanted.thing, subject_key, fraud_known_at IS NOT NULL AND cleared_at IS NULL AS is_fraud
        FROM risk_transaction WHERE tenant_id = %(tenant)s AND {column} = wanted.thing
        ORDER BY {order} LIMIT %(read)s
    ) AS used
    WHERE used.subject_key <> %(subject)s
    GROUP BY 1, 2"""
# An address has no index by time; a plain walk through its rows is bounded all the same.
ORDERS = defaultdict(lambda: "occurred_at DESC", address="address_key")
# A counterparty alone is named as the client names it, in the collation of its index.
WANTED = defaultdict(
    lambda: "unnest(%(things)s::bytea[])",
    counterparty='(SELECT name COLLATE "C" FROM unnest(%(things)s::text[]) AS named(name))',
)


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


Thing = tuple[str, bytes | str]
# Of each thing the other subjects that used it, with their transactions with it and the known frauds among these.
Users = dict[Thing, dict[bytes, tuple[int, int]]]


def links_of(subject_key: bytes, *, most_subjects: int) -> Links:
    """The subject's cards, devices and addresses with the other subjects that used them, and the counterparties that it
    shares with at most `most_subjects` others or was defrauded at. At most five queries, each bounded."""
    rows = _transactions(subject_key)
    counts, frauds = _own(rows)
    users = _users(subject_key, counts, frauds, most_subjects)
    for thing, others in users.items():
        if thing[0] == "counterparty" and len(others) > most_subjects:
            others.clear()
    telling = {
        thing: others for thing, others in users.items() if thing[0] != "counterparty" or others or frauds[thing]
    }
    return _graph(subject_key, rows, telling, counts, frauds)


def sharing_subjects(subject_key: bytes, *, most_subjects: int) -> dict[bytes, dict[str, int]]:
    """Other subjects that used the same cards, devices, addresses and counterparties: of each how many, by kind.

    What more than `most_subjects` others used is left out: a library's computer ties nobody, and no more does a shop
    that everybody pays. Bounded as `links_of`.
    """
    counts, frauds = _own(_transactions(subject_key))
    shared: dict[bytes, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (kind, _), others in _users(subject_key, counts, frauds, most_subjects).items():
        for subject in others if len(others) <= most_subjects else ():
            shared[subject][kind] += 1
    return {subject: dict(kinds) for subject, kinds in shared.items()}


def _transactions(subject_key: bytes) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(OWN, {"tenant": current_tenant_id(), "subject": subject_key, "read": READ})
        return cursor.fetchall()


def _users(subject_key: bytes, counts: dict[Thing, int], frauds: dict[Thing, int], most_subjects: int) -> Users:
    users: Users = {thing: {} for thing in _most_telling(counts, frauds)}
    for thing, subject, transactions, known in _others(subject_key, list(users), most_subjects):
        users[thing][subject] = (transactions, known)
    return users


def _most_telling(counts: dict[Thing, int], frauds: dict[Thing, int]) -> list[Thing]:
    """As many counterparties as other things: those of frauds, then the newest, since a mule is paid once or twice."""
    counterparties = [thing for thing in counts if thing[0] == "counterparty"]
    things = sorted(counts.keys() - set(counterparties), key=lambda thing: (-frauds[thing], -counts[thing], thing))
    return things[:MOST_THINGS] + sorted(counterparties, key=lambda thing: -frauds[thing])[:MOST_THINGS]


def _others(subject_key: bytes, things: Sequence[Thing], most_subjects: int) -> Iterator[tuple[Thing, bytes, int, int]]:
    """(thing, other subject, its transactions with it, known frauds among them)."""
    reads = defaultdict(lambda: READ, counterparty=min(READ, READ_FOR_EACH * most_subjects))
    values: dict[str, Any] = {"tenant": current_tenant_id(), "subject": subject_key}
    for kind, column in SHARED.items():
        asked = [thing for each, thing in things if each == kind]
        if not asked:
            continue
        with connection.cursor() as cursor:
            query = OTHERS.format(column=column, order=ORDERS[kind], wanted=WANTED[kind])
            cursor.execute(query, values | {"things": asked, "read": reads[kind]})
            for thing, subject, transactions, known in cursor.fetchall():
                yield (kind, _key(thing)), bytes(subject), transactions, known


def _own(rows: Sequence[tuple[Any, ...]]) -> tuple[dict[Thing, int], dict[Thing, int]]:
    """Of each thing how many of the rows are with it, and how many of these are frauds; in the order of the rows."""
    counts: dict[Thing, int] = defaultdict(int)
    frauds: dict[Thing, int] = defaultdict(int)
    for *keys, is_fraud in rows:
        for kind, key in zip(SHARED, keys, strict=True):
            if key is not None:
                counts[kind, _key(key)] += 1
                frauds[kind, _key(key)] += is_fraud
    return counts, frauds


def _key(value: Any) -> bytes | str:
    return value if isinstance(value, str) else bytes(value)


def _graph(
    subject_key: bytes,
    rows: Sequence[tuple[Any, ...]],
    users: Users,
    counts: dict[Thing, int],
    frauds: dict[Thing, int],
) -> Links:
    nodes = [Node(0, "subject", public_subject_id(subject_key), len(rows), sum(row[-1] for row in rows))]
    edges: list[Edge] = []
    together: dict[bytes, dict[int, tuple[int, int]]] = defaultdict(dict)
    for (kind, key), others in users.items():
        place = len(nodes)
        edges.append(Edge(0, place, counts[kind, key]))
        label = key if isinstance(key, str) else public_subject_id(key)
        nodes.append(Node(place, kind, label, counts[kind, key], frauds[kind, key]))
        for subject, used in others.items():
            together[subject][place] = used

    def weight(subject: bytes) -> tuple[int, int, bytes]:
        return -sum(known for _, known in together[subject].values()), -len(together[subject]), subject

    shown = sorted(together, key=weight)[:MOST_SUBJECTS]
    for subject in shown:
        transactions, known = (sum(column) for column in zip(*together[subject].values(), strict=True))
        edges += [Edge(place, len(nodes), count) for place, (count, _) in together[subject].items()]
        nodes.append(Node(len(nodes), "subject", public_subject_id(subject), transactions, known))
    return Links(nodes, edges, len(together) - len(shown))
