"""A batch of raw events, judged column by column: parsed values for the good rows, reasons for the others."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from behavior.parsing import MAX_ID, PARSERS, Invalid, json_type

Reason = dict[str, str]  # field, code, message

SUBJECT_IDS = ("user_id", "anonymous_id")
SUBJECT_FIELDS = (*SUBJECT_IDS, "session_id")
CONSENT_FIELDS = ("personalisation", "training")
NESTED = {name: f"subject.{name}" for name in SUBJECT_FIELDS} | {name: f"consent.{name}" for name in CONSENT_FIELDS}
EVENT_FIELDS = frozenset(PARSERS.keys() - NESTED.keys()) | {"subject", "consent"}
# Fields or choices that are named at most; a body may hold any number of unknown ones.
MOST_NAMED = 10


def reason_of(field_name: str, code: str, message: str) -> Reason:
    """Why something cannot be taken: the field at fault, a word for programs and a sentence with the cure."""
    return {"field": field_name, "code": code, "message": message}


@dataclass
class Judged:
    """Parsed columns of equal length; a cell is None where it is absent or bad, and `reasons` names the bad rows."""

    rows: int
    columns: dict[str, list[Any]]
    reasons: dict[int, list[Reason]] = field(default_factory=dict)

    def blame(self, row: int, field_name: str, code: str, message: str) -> None:
        self.reasons.setdefault(row, []).append(reason_of(field_name, code, message))

    def is_blamed(self, row: int, *field_names: str) -> bool:
        return any(reason["field"] in field_names for reason in self.reasons.get(row, ()))

    def good_rows(self) -> Sequence[int]:
        return range(self.rows) if not self.reasons else [row for row in range(self.rows) if row not in self.reasons]


class _Parsed(dict[str | None, Any]):
    """Text to parsed value, each distinct text parsed once; an Invalid stands for what cannot be parsed."""

    def __init__(self, parse: Callable[[Any], Any]) -> None:
        super().__init__({None: None})
        self.parse = parse
        self.has_invalid = False

    def __missing__(self, text: str) -> Any:
        value = self[text] = self.of(text)
        return value

    def of(self, raw: Any) -> Any:
        try:
            return self.parse(raw)
        except Invalid as problem:
            self.has_invalid = True
            return problem


def judge_columns(cells: Mapping[str, Sequence[Any]], rows: int) -> Judged:
    """Parse flat columns (field name -> raw cells, None = absent); that something is missing is no fault yet."""
    judged = Judged(rows, {})
    for name, parse in PARSERS.items():
        if name not in cells:
            judged.columns[name] = [None] * rows
            continue
        parsed = _Parsed(parse)
        values = [parsed[raw] if raw is None or type(raw) is str else parsed.of(raw) for raw in cells[name]]
        if parsed.has_invalid:
            for row, value in enumerate(values):
                if type(value) is Invalid:
                    values[row] = None
                    judged.blame(row, NESTED.get(name, name), value.code, value.message)
        judged.columns[name] = values
    return judged


def require_fields(judged: Judged) -> None:
    """Blame rows that lack a type or a subject, unless they are blamed for it already."""
    _require(judged, "type", "say what the subject did, e.g. 'view'")
    users, visitors = judged.columns["user_id"], judged.columns["anonymous_id"]
    if None not in users:
        return
    for row, ids in enumerate(zip(users, visitors, strict=True)):
        if ids == (None, None) and not judged.is_blamed(
            row, "event", "subject", *(NESTED[name] for name in SUBJECT_IDS)
        ):
            judged.blame(row, "subject", "required", "is missing: send user_id or anonymous_id")


def _require(judged: Judged, name: str, cure: str) -> None:
    column = judged.columns[name]
    if None not in column:
        return
    for row, value in enumerate(column):
        if value is None and not judged.is_blamed(row, "event", name):
            judged.blame(row, name, "required", f"is missing: {cure}")


def judge_events(events: Sequence[Any]) -> Judged:
    """Judge events in the form of the API: objects with a nested subject and consent."""
    flats: list[dict[str, Any]] = []
    problems: list[tuple[int, Reason]] = []
    for row, event in enumerate(events):
        if type(event) is dict:
            flats.append(_flatten(event, row, problems))
        else:
            flats.append({})
            problems.append((row, reason_of("event", "wrong_type", f"must be an object, not {json_type(event)}")))
    names = {name for flat in flats for name in flat}
    judged = judge_columns({name: [flat.get(name) for flat in flats] for name in names}, len(events))
    for row, reason in problems:
        judged.reasons.setdefault(row, []).append(reason)
    _require(judged, "message_id", "give each event an id of its own, so that a retry is stored once")
    require_fields(judged)
    return judged


def _flatten(event: dict[str, Any], row: int, problems: list[tuple[int, Reason]]) -> dict[str, Any]:
    flat = {name: value for name, value in event.items() if name in PARSERS and name not in NESTED}
    for name, members in (("subject", SUBJECT_FIELDS), ("consent", CONSENT_FIELDS)):
        nested = event.get(name)
        if type(nested) is dict:
            flat |= {member: nested[member] for member in members if member in nested}
            if unknown := [other for other in nested if other not in members]:
                reasons = reasons_of_unknown(unknown, members, noun="an event", place=name)
                problems += [(row, reason) for reason in reasons]
        elif nested is not None:
            problems.append((row, reason_of(name, "wrong_type", f"must be an object, not {json_type(nested)}")))
    if unknown := [other for other in event if other not in EVENT_FIELDS]:
        problems += [(row, reason) for reason in reasons_of_unknown(unknown, EVENT_FIELDS, noun="an event")]
    return flat


def reasons_of_unknown(names: Sequence[str], known: Collection[str], *, noun: str, place: str = "") -> list[Reason]:
    """Why fields of `place` ("" is the outermost object) are none of `noun`; a body may hold any number, so the first
    MOST_NAMED are named and the others counted.
    """
    reasons = []
    elsewhere = "; put anything else into 'properties'" if place or "properties" in known else ""
    for name in names[:MOST_NAMED]:
        shown = storable_name(f"{place}.{name}" if place else name)
        outer = "" if place else NESTED.get(name, "").partition(".")[0]
        if outer in known:
            cure = f"put it into '{outer}'"
        elif close := get_close_matches(name, known, 1) if len(name) <= MAX_ID else []:
            cure = f"did you mean '{close[0]}'?"
        else:
            cure = f"known are {', '.join(sorted(known))}{elsewhere}"
        reasons.append(reason_of(shown, "unknown_field", f"is not a field of {noun}: {cure}"))
    if len(names) > MOST_NAMED:
        reasons[-1]["message"] += f" ({len(names) - MOST_NAMED:,} more are unknown)"
    return reasons


def storable_name(name: str) -> str:
    """A name that the client chose, so that it passes through jsonb and JSON."""
    return name[:MAX_ID].replace("\0", "\\0").encode(errors="backslashreplace").decode()
