"""What a feature's value means, in the words of a business person: `describe("customer_count_1h", 7.0)` is of the code
`customer_count` and says "7 payments by this customer within an hour"."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

PARTY = r"(?P<party>customer|counterparty|device|card)"
WINDOW = r"(?P<window>\d+[hd])"
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0

Words = Callable[[re.Match[str], float], str | None]


@dataclass(frozen=True)
class Family:
    """Features that say the same thing in different windows share a code. `words` gives None for a value that nobody
    would hold against a transaction, such as no known fraud."""

    pattern: re.Pattern[str]
    code: str
    words: Words


def describe(feature: str, value: float | None) -> tuple[str, str | None]:
    """The code of a feature and its value in words; None where the value is no reason. A value of None is missing.

    A feature that is not known is its own code, with its name made readable.
    """
    return code_of(feature, value is None), words_of(feature, value)


# Both are asked for each feature of each answer, and the names are few.
@lru_cache(maxsize=1024)
def code_of(feature: str, is_missing: bool) -> str:
    """The code of a feature whose value is known or missing."""
    found = _family_of(feature)
    if found is None:
        return feature
    family, match = found
    party = _party(match)
    return f"{party}_unknown" if is_missing else family.code.format(party=party)


def words_of(feature: str, value: float | None) -> str | None:
    """As `describe`, without the code."""
    found = _family_of(feature)
    if found is None:
        readable = feature.replace("_", " ").strip() or "a feature"
        return f"{readable} is {'missing' if value is None else number(value)}"
    family, match = found
    return f"too little is known of this {_party(match)}" if value is None else family.words(match, value)


def _party(match: re.Match[str]) -> str:
    return match.groupdict().get("party") or "customer"


@lru_cache(maxsize=1024)
def _family_of(feature: str) -> tuple[Family, re.Match[str]] | None:
    matches = ((family, family.pattern.fullmatch(feature)) for family in FAMILIES)
    return next(((family, match) for family, match in matches if match), None)


def number(value: float) -> str:
    """Rounded for people: 1,235 and 62 and 6.2 and 0.18."""
    size = abs(value)
    if size >= 1e15:
        return f"{value:.2g}"
    if size >= 10.0:
        return f"{value:,.0f}"
    if size >= 1.0 or value == 0.0:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:.2g}" if size >= 0.001 else "almost 0"


def count(value: float, one: str, many: str) -> str:
    """ "1 payment", "7 payments", "no payments"."""
    whole = round(value)
    if whole == 0:
        return f"no {many}"
    return f"{whole:,} {one if whole == 1 else many}"


def duration(seconds: float) -> str:
    """In the largest unit of which there is at least one: "40 seconds", "1 minute", "5 hours", "3 days"."""
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if round(seconds / unit) >= 1 and seconds >= unit:
            return count(seconds / unit, name, f"{name}s")
    return count(seconds, "second", "seconds") if round(seconds) else "less than a second"


def percent(share: float) -> str:
    return f"{share * 100:.0f}%" if share >= 0.01 else "less than 1%"


def window(name: str) -> str:
    """ "1h" is "an hour", "1d" "a day", "30d" "30 days"."""
    size, unit = int(name[:-1]), {"h": "hour", "d": "day"}[name[-1]]
    if size == 1:
        return "an hour" if unit == "hour" else "a day"
    return f"{size} {unit}s"


def _times(usual: str) -> Words:
    def words(match: re.Match[str], value: float) -> str:
        return f"amount is {'only ' if value < 1.0 else ''}{number(value)} times {usual}"

    return words


def _flag(text: str) -> Words:
    return lambda match, value: text if value > 0.0 else None


def _deviations(match: re.Match[str], value: float) -> str:
    side = "above" if value >= 0.0 else "below"
    many = count(abs(value), "standard deviation", "standard deviations") if abs(value) >= 1 else "less than one"
    return f"amount is {many} {side} this customer's 30-day mean"


def _hour(match: re.Match[str], value: float) -> str:
    minutes = round(value % 24 * 60) % (24 * 60)
    return f"made at {minutes // 60:02d}:{minutes % 60:02d} UTC"


def _counted(match: re.Match[str], value: float) -> str:
    by = {"customer": "by", "counterparty": "to", "device": "from", "card": "with"}[match["party"]]
    return f"{count(value, 'payment', 'payments')} {by} this {match['party']} within {window(match['window'])}"


def _distinct(match: re.Match[str], value: float) -> str:
    one, many = {"customers": ("customer", "customers")}.get(match["other"], ("counterparty", "counterparties"))
    return (
        f"{count(value, f'different {one}', f'different {many}')} of this {match['party']} "
        f"within {window(match['window'])}"
    )


def _fraud_rate(match: re.Match[str], value: float) -> str | None:
    if value <= 0.0:
        return None
    within = "day" if match["window"] == "1d" else window(match["window"])
    return f"{percent(value)} of this {match['party']}'s payments in the {within} up to a week ago were fraud"


def _known_frauds(match: re.Match[str], value: float) -> str | None:
    if round(value) < 1:
        return None
    return f"this {match['party']} had {count(value, 'confirmed fraud', 'confirmed frauds')} in the last 28 days"


def _fraud_run(match: re.Match[str], value: float) -> str | None:
    if round(value) < 1:
        return None
    return f"{count(value, 'confirmed fraud', 'confirmed frauds')} in a row at this {match['party']}"


def _seconds(text: str) -> Words:
    """`text` with the party and the duration."""
    return lambda match, value: text.format(party=match["party"], duration=duration(max(value, 0.0)))


def _valued(text: str) -> Words:
    """`text` with the party, the window and the number."""

    def words(match: re.Match[str], value: float) -> str:
        groups = match.groupdict()
        within = window(groups["window"]) if groups.get("window") else ""
        return text.format(party=groups.get("party"), window=within, number=number(value))

    return words


def _families(*rows: tuple[str, str, Words]) -> tuple[Family, ...]:
    return tuple(Family(re.compile(pattern), code, words) for pattern, code, words in rows)


FAMILIES = _families(
    ("amount", "amount", _valued("amount is {number}")),
    ("hour", "time_of_day", _hour),
    ("is_night", "time_of_day", _flag("made at night")),
    ("is_weekend", "weekend", _flag("made at the weekend")),
    ("new_counterparty", "new_counterparty", _flag("first payment to this counterparty")),
    ("amount_to_(?P<party>customer)_mean_30d", "amount_to_{party}", _times("this customer's 30-day mean")),
    (
        "amount_to_(?P<party>customer)_mean_before_14d",
        "amount_to_{party}",
        _times("this customer's mean before the last 14 days"),
    ),
    ("amount_to_(?P<party>customer)_median", "amount_to_{party}", _times("this customer's usual amount")),
    ("amount_to_(?P<party>customer)_max_30d", "amount_to_{party}", _times("this customer's largest in 30 days")),
    ("amount_z_(?P<party>customer)_30d", "amount_to_{party}", _deviations),
    ("amount_to_(?P<party>counterparty)_mean_30d", "amount_to_{party}", _times("this counterparty's 30-day mean")),
    ("(?P<party>customer)_amount_median", "{party}_amounts", _valued("this customer's usual amount is {number}")),
    (
        rf"(?P<party>customer)_large_{WINDOW}",
        "{party}_large",
        lambda match, value: (
            (
                f"{count(value, 'unusually large payment', 'unusually large payments')} by this customer "
                f"within {window(match['window'])}"
            )
            if round(value)
            else None
        ),
    ),
    (f"{PARTY}_count_{WINDOW}", "{party}_count", _counted),
    (
        f"{PARTY}_amount_sum_{WINDOW}",
        "{party}_amounts",
        _valued("payments of this {party} within {window} come to {number}"),
    ),
    (
        f"{PARTY}_amount_mean_{WINDOW}",
        "{party}_amounts",
        _valued("mean payment of this {party} within {window} is {number}"),
    ),
    (rf"{PARTY}_(?P<other>counterparties|customers)_{WINDOW}", "{party}_distinct", _distinct),
    (f"{PARTY}_seconds_since_last", "{party}_pause", _seconds("{duration} after this {party}'s previous payment")),
    (
        f"{PARTY}_settled_count_{WINDOW}",
        "{party}_settled",
        _valued("{number} payments of this {party} in {window} up to a week ago"),
    ),
    (f"{PARTY}_fraud_rate_{WINDOW}", "{party}_frauds", _fraud_rate),
    (f"{PARTY}_known_frauds_28d", "{party}_frauds", _known_frauds),
    (f"{PARTY}_fraud_run", "{party}_frauds", _fraud_run),
    (
        f"{PARTY}_seconds_since_known_fraud",
        "{party}_frauds",
        _seconds("the newest confirmed fraud of this {party} was {duration} ago"),
    ),
    (
        f"{PARTY}_seconds_since_first_known_fraud",
        "{party}_frauds",
        _seconds("confirmed frauds of this {party} began {duration} ago"),
    ),
    (
        f"{PARTY}_seconds_since_fraud_run",
        "{party}_frauds",
        _seconds("confirmed frauds in a row at this {party} began {duration} ago"),
    ),
    (
        f"{PARTY}_known_fraud_amount_min",
        "{party}_frauds",
        _valued("confirmed frauds of this {party} begin at an amount of {number}"),
    ),
    (
        f"{PARTY}_seconds_since_settled_genuine",
        "{party}_genuine",
        _seconds("the last payment of this {party} that proved genuine was {duration} ago"),
    ),
    (
        f"{PARTY}_genuine_since_first_known_fraud",
        "{party}_genuine",
        _valued("payments of this {party} that proved genuine since its first confirmed fraud: {number}"),
    ),
)
