"""The language of rules: what it says, what it refuses and how, and that one transaction and a column agree."""

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.risk.rules.language.columns import FactColumns, numbers_of, texts_of
from apps.risk.rules.language.parser import MOST_DEPTH, MOST_NODES, parse
from apps.risk.rules.language.single import compile_expression
from apps.risk.rules.language.syntax import ExpressionError, Type, lists, names
from apps.risk.rules.language.vectorised import evaluate_condition

FIELDS = {
    "amount": Type.NUMBER,
    "score": Type.NUMBER,
    "hour": Type.NUMBER,
    "customer_count_1h": Type.NUMBER,
    "customer_amount_mean_30d": Type.NUMBER,
    "new_counterparty": Type.BOOLEAN,
    "country": Type.TEXT,
    "counterparty": Type.TEXT,
    "card": Type.KEY,
}
FACTS: dict[str, Any] = {
    "amount": 620.0,
    "score": None,
    "hour": 23.5,
    "customer_count_1h": 4.0,
    "customer_amount_mean_30d": 90.0,
    "new_counterparty": 1.0,
    "country": "PL",
    "counterparty": "T-1",
    "card": "a0b1",
    "properties": {"channel": "Web", "retry": True, "basket": {"items": 3}, "tags": ["a"]},
}
BLOCKED = {("blocked cards", "card")}


def holds(text: str, facts: dict[str, Any] = FACTS) -> bool:
    return compile_expression(parse(text, FIELDS))(facts, lambda listed, field: (listed, field) in BLOCKED)


@pytest.mark.parametrize(
    "text",
    [
        'amount > 500 and customer_count_1h >= 3 and country not in ["DE", "FR"]',
        "amount > 6 * customer_amount_mean_30d",
        'in_list("blocked cards", card)',
        'counterparty == "T-1"',
        "hour >= 22 or hour < 5",
        "score is missing",
        "not score >= 0.8",
        "amount between 600 and 700 and amount not between 0 and 10",
        'lower(properties.channel) == "web" and starts_with(counterparty, "T-") and contains(country, "L")',
        "properties.retry and new_counterparty and new_counterparty == true",
        "properties.basket.items in [2, 3] and properties.tags is missing",
        "-amount + 2 * (10 - 5) / 5 == -618",
        "max(amount, customer_amount_mean_30d) == amount and abs(-2) == 2",
        "counterparty == 'T-1' and country == \"P\\L\"",
        "1e2 <= amount",
    ],
)
def test_what_holds(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "score >= 0.8",
        "score < 0.8",
        "score != 0.8",
        "score not in [1]",
        "score not between 0 and 1",
        "amount / 0 > 1",
        "amount / 0 <= 1",
        "score + amount > 0",
        "properties.nothing",
        "properties.channel > 1",
        "properties.retry == 1",
        'properties.retry == "true"',
        "amount > 500 and (country == 'DE' or not new_counterparty)",
        'in_list("other", card)',
    ],
)
def test_nothing_follows_from_what_is_missing_or_of_another_type(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("score >= 0.5 and amuont > 5", 18, "'amuont' is unknown; did you mean 'amount'?"),
        ("amount", 1, "a condition is needed here, not a number; compare it, such as amount > 500"),
        ("amount > ", 10, "a field, number, text or '(' is needed here, but the expression ends"),
        ("amount = 5", 8, "= cannot stand here; write '==' to compare"),
        ("amount > 5 && hour < 5", 12, "&& cannot stand here; write 'and'"),
        ("1 < amount < 5", 12, "comparisons cannot follow each other; join them with 'and'"),
        ("amount > 5 hour < 5", 12, "'hour' cannot follow; join conditions with 'and' or 'or'"),
        ('amount > "5"', 10, "'>' needs a number, not a text"),
        ('country > "DE"', 1, "'>' needs a number, not a text"),
        ("country == DE", 12, "'DE' is unknown; see the list of fields; texts stand in quotes"),
        ("country == null", 12, "'null' is no value; write 'is missing'"),
        ("amount > 5 AND hour < 5", 12, "'AND' cannot follow"),
        ("country in []", 13, "the list is empty; name at least one value"),
        ('country in ["DE", 5]', 19, "the list begins with a text, and this is a number; take one kind"),
        ("country in (1)", 12, "'in' needs '[' here, not '('"),
        ('card == "4111"', 1, "'card' is personal and is held as a key: look it up with in_list(\"...\", card)"),
        ("card", 1, "'card' is personal"),
        ("in_list(card)", 1, "in_list takes a list and a field; write it like"),
        ('in_list("a", amount)', 14, "a list holds one of card, device"),
        ("new_counterparty > 0", 1, "not true or false; write 'new_counterparty' or 'not new_counterparty'"),
        ("properties.a == properties.b", 17, "two properties have no known type"),
        ("(amount > 5", 12, "the bracket that opened before needs ')' here, but the expression ends"),
        ("eval('1') == 1", 1, "there is no function 'eval'"),
        ("amount.__class__ == 1", 1, "is unknown"),
        ("amount > 1e999", 10, "the number is too large"),
        ("amount > 12x", 10, "this is no number"),
        ("country == 'DE", 12, "the text has no closing quote"),
        ("abs(amount, 2) > 1", 1, "abs takes 1 values, not 2"),
        ("amount is 5", 11, "'is' needs 'missing' here, not '5'"),
        ("amount not 5", 12, "after a field 'not' needs 'in' or 'between', not '5'"),
        ("(amount > 5) + 1 > 2", 2, "'+' needs a number, not a condition"),
        ("", 1, "is needed here"),
    ],
)
def test_an_error_names_the_place_the_cause_and_the_cure(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        parse(text, FIELDS)
    assert message in raised.value.message
    assert raised.value.column == column
    assert str(raised.value) == f"column {column}: {raised.value.message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(" * (MOST_DEPTH + 1) + "amount > 1" + ")" * (MOST_DEPTH + 1), "deep"),
        ("not " * 900 + "amount > 1", "deep"),
        ("amount > " + "-" * 1000 + "1", "deep"),
        (" or ".join(["1 < 2"] * MOST_NODES), "more than 400 parts"),
        ("amount > " + " " * 5000 + "1", "at most 4000 are allowed"),
        ("properties." + ".".join("a" * 9) + " == 1", "at most 8 levels"),
    ],
)
def test_an_expression_is_bounded(text: str, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        parse(text, FIELDS)


def test_the_tree_says_which_fields_and_lists_it_reads() -> None:
    node = parse('properties.a > amount and in_list("blocked cards", card)', FIELDS)
    assert names(node) == {"properties.a": Type.NUMBER, "amount": Type.NUMBER, "card": Type.KEY}
    assert lists(node) == {"blocked cards": "card"}


def refusal(text: str) -> ExpressionError | None:
    try:
        compile_expression(parse(text, FIELDS))(FACTS, lambda listed, field: False)
    except ExpressionError as error:
        return error
    return None


WORDS = st.sampled_from(
    [
        *FIELDS,
        *[
            "and",
            "or",
            "not",
            "in",
            "between",
            "is",
            "missing",
            "true",
            "(",
            ")",
            "[",
            "]",
            ",",
            "-",
            "+",
            "*",
            "/",
            "==",
            "!=",
            "<",
            ">",
            "in_list",
            "lower",
            "min",
        ],
        *["properties.x", "'a'", '"', "1", "2.5", "\\", ".", "é", "\x00"],
    ]
)


@settings(max_examples=400)
@given(st.one_of(st.text(max_size=300), st.lists(WORDS, max_size=60).map(" ".join), st.lists(WORDS).map("".join)))
def test_no_text_raises_anything_but_an_expression_error_nor_takes_long(text: str) -> None:
    began = time.process_time()
    error = refusal(text)
    assert error is None or (1 <= error.column <= len(text) + 1 and error.message.isprintable())
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("text", ["'" + "\\" * 3999, "1" * 4000, "a." * 2000, "((" * 2000, '"\\"' * 1333, "- " * 2000])
def test_long_texts_without_sense_are_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ExpressionError):
        parse(text, FIELDS)
    assert time.process_time() - began < 0.2


NUMBERS = st.recursive(
    st.sampled_from(["amount", "score", "hour", "properties.n", "0", "1", "2.5", "1e300"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map("-{}".format),
        inner.map("abs({})".format),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda parts: "{}({}, {})".format(*parts)),
    ),
    max_leaves=5,
)
TEXTS = st.sampled_from(["country", "counterparty", "properties.t", "lower(country)", "'de'", "'DE'"])
CONDITIONS = st.recursive(
    st.one_of(
        st.tuples(NUMBERS, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), NUMBERS).map(" ".join),
        st.tuples(TEXTS, st.sampled_from(["==", "!="]), TEXTS.filter(lambda text: "properties" not in text)).map(
            " ".join
        ),
        st.tuples(NUMBERS, st.sampled_from(["in", "not in"]), st.just("[1, -2.5, 0]")).map(" ".join),
        st.tuples(TEXTS, st.sampled_from(["in", "not in"]), st.just("['de', 'PL']")).map(" ".join),
        st.tuples(NUMBERS, st.sampled_from(["between", "not between"]), NUMBERS, NUMBERS).map(
            lambda parts: "{} {} {} and {}".format(*parts)
        ),
        st.tuples(st.one_of(NUMBERS, TEXTS, st.just("card")), st.sampled_from(["is missing", "is not missing"])).map(
            " ".join
        ),
        st.tuples(st.sampled_from(["starts_with", "contains"]), TEXTS, TEXTS).map(
            lambda parts: "{}({}, {})".format(*parts)
        ),
        st.sampled_from(["new_counterparty", "properties.b", "new_counterparty == true", "properties.b != false"]),
        st.just('in_list("blocked cards", card)'),
    ),
    lambda inner: st.one_of(
        inner.map("not ({})".format),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map("({0[0]} {0[1]} {0[2]})".format),
    ),
    max_leaves=6,
)
FLOATS = st.one_of(st.none(), st.sampled_from([0.0, 1.0, -2.5, math.nan, math.inf]), st.floats(allow_nan=False))
SHORT = st.one_of(st.none(), st.sampled_from(["de", "DE", "PL", "d", ""]))
ANYTHING = st.one_of(FLOATS, SHORT, st.booleans(), st.integers(), st.just([1]))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "amount": FLOATS,
            "score": FLOATS,
            "hour": FLOATS,
            "new_counterparty": st.sampled_from([None, 0.0, 1.0]),
            "country": SHORT,
            "counterparty": SHORT,
            "card": st.sampled_from([None, "a0", "b1"]),
            "properties": st.one_of(st.none(), st.fixed_dictionaries({"n": ANYTHING, "t": ANYTHING, "b": ANYTHING})),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=300)
@given(CONDITIONS, ROWS)
def test_one_transaction_and_a_column_of_them_mean_the_same(text: str, rows: list[dict[str, Any]]) -> None:
    node = parse(text, FIELDS)
    one = compile_expression(node)
    numbers = ("amount", "score", "hour", "new_counterparty")
    texts = ("country", "counterparty", "card")
    columns = FactColumns(
        size=len(rows),
        numbers={name: numbers_of((row[name] for row in rows), FIELDS[name]) for name in numbers},
        texts={name: texts_of((row[name] for row in rows), FIELDS[name]) for name in texts},
        properties=[row["properties"] for row in rows],
        membership=lambda listed, field: np.array([row[field] == "a0" for row in rows]),
    )
    expected = [bool(one(row, lambda listed, field, row=row: row[field] == "a0")) for row in rows]
    assert evaluate_condition(node, columns).tolist() == expected


def test_a_transaction_is_judged_in_microseconds_and_a_million_in_a_second() -> None:
    node = parse('amount > 6 * customer_amount_mean_30d and hour not between 5 and 22 and country in ["PL"]', FIELDS)
    one = compile_expression(node)
    began = time.process_time()
    for _ in range(1_000):
        one(FACTS, lambda listed, field: False)
    assert (time.process_time() - began) / 1_000 < 100e-6
    size = 1_000_000
    values = np.random.default_rng(0).random(size)
    columns = FactColumns(
        size=size,
        numbers={"amount": values * 100, "customer_amount_mean_30d": values, "hour": values * 24},
        texts={"country": texts_of(["PL", "DE"] * (size // 2))},
        properties=[None] * size,
        membership=lambda listed, field: np.zeros(size, dtype=bool),
    )
    began = time.process_time()
    assert 0 < evaluate_condition(node, columns).sum() < size
    assert time.process_time() - began < 1
