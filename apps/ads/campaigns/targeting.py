"""What a flight asks of a request before it competes: sets of values to be in or out of, and hours of the week.

    {"include": {"countries": ["DE"], "keywords": ["tent"]}, "exclude": {"categories": ["news"]},
     "attributes": {"plan": ["gold"]}, "hours": [{"days": [0, 1, 2, 3, 4], "from": 8, "to": 20}]}

A request passes where each included dimension holds one of its values, each attribute has one of its, and nothing that
is excluded is there. Days count from Monday, 0; hours are those of the tenant's time zone, `to` not included.
"""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

DIMENSIONS = (
    "segments",
    "audiences",
    "keywords",
    "categories",
    "countries",
    "regions",
    "languages",
    "devices",
    "placements",
)
# These and the attributes are known of a person, so that they say nothing without consent.
PERSONAL = frozenset({"segments", "audiences"})
ATTRIBUTE = "attributes."
DEVICES = ("desktop", "mobile", "tablet")
MOST_VALUES = 1_000
MOST_ATTRIBUTES = 20
MOST_HOURS = 50
LONGEST_VALUE = 100
HOURS_OF_WEEK = 7 * 24
PARTS = ("include", "exclude", "attributes", "hours")


def normal(value: str) -> str:
    """Values are compared without regard to case and outer spaces."""
    return value.strip().casefold()


def check_targeting(targeting: Any) -> dict[str, Any]:
    """The targeting as it is stored. Raises ValidationError for the field `targeting` that says where and what."""
    if not isinstance(targeting, dict):
        raise _refusal("must be an object")
    if unknown := sorted(targeting.keys() - set(PARTS), key=str):
        raise _refusal(f"has no part '{unknown[0]}'; known are {', '.join(PARTS)}")
    checked: dict[str, Any] = {}
    for part in ("include", "exclude"):
        if found := _read_sets(part, targeting.get(part, {}), DIMENSIONS):
            checked[part] = found
    attributes = targeting.get("attributes", {})
    if not isinstance(attributes, dict) or len(attributes) > MOST_ATTRIBUTES:
        raise _refusal(f"attributes must be an object with at most {MOST_ATTRIBUTES} names")
    if found := _read_sets("attributes", attributes, None):
        checked["attributes"] = found
    if hours := _read_hours(targeting.get("hours", [])):
        checked["hours"] = hours
    devices = [value for part in ("include", "exclude") for value in checked.get(part, {}).get("devices", [])]
    if unknown := sorted(set(devices) - set(DEVICES)):
        raise _refusal(f"devices: '{unknown[0]}' is unknown; known are {', '.join(DEVICES)}")
    return checked


def hours_of_week(targeting: Mapping[str, Any]) -> set[int]:
    """Hours from Monday midnight, 0, to 167; all of them where the targeting names none."""
    spans = targeting.get("hours")
    if not spans:
        return set(range(HOURS_OF_WEEK))
    return {24 * day + hour for span in spans for day in span["days"] for hour in range(span["from"], span["to"])}


def needs_identity(targeting: Mapping[str, Any]) -> bool:
    parts = (targeting.get("include", {}), targeting.get("exclude", {}))
    return bool(targeting.get("attributes")) or any(PERSONAL & part.keys() for part in parts)


def named_in(targeting: Mapping[str, Any], dimension: str) -> set[str]:
    """All values of a dimension that a targeting includes or excludes."""
    parts = (targeting.get("include", {}), targeting.get("exclude", {}))
    return {value for part in parts for value in part.get(dimension, ())}


def _read_sets(part: str, sets: Any, known: tuple[str, ...] | None) -> dict[str, list[str]]:
    if not isinstance(sets, dict):
        raise _refusal(f"{part} must be an object")
    found = {}
    for name, values in sets.items():
        if known is not None and name not in known:
            raise _refusal(f"{part} has no dimension '{name}'; known are {', '.join(known)}")
        if not 1 <= len(normal(name)) <= LONGEST_VALUE or "\0" in name:
            raise _refusal(f"{part} needs names of 1 to {LONGEST_VALUE} characters")
        if not isinstance(values, list) or len(values) > MOST_VALUES:
            raise _refusal(f"{part}.{name} must be a list of at most {MOST_VALUES:,} values")
        for value in values:
            if not isinstance(value, str) or not 1 <= len(normal(value)) <= LONGEST_VALUE or "\0" in value:
                raise _refusal(f"{part}.{name} must hold texts of 1 to {LONGEST_VALUE} characters")
        if values:
            found[name if known else normal(name)] = sorted({normal(value) for value in values})
    return found


def _read_hours(spans: Any) -> list[dict[str, Any]]:
    if not isinstance(spans, list) or len(spans) > MOST_HOURS:
        raise _refusal(f"hours must be a list of at most {MOST_HOURS} spans")
    for span in spans:
        if not isinstance(span, dict) or span.keys() != {"days", "from", "to"}:
            raise _refusal('hours must hold spans such as {"days": [0, 1], "from": 8, "to": 20}')
        days = span["days"]
        if not isinstance(days, list) or not days or any(type(day) is not int or not 0 <= day <= 6 for day in days):
            raise _refusal("hours: days must be numbers from 0 (Monday) to 6")
        if type(span["from"]) is not int or type(span["to"]) is not int or not 0 <= span["from"] < span["to"] <= 24:
            raise _refusal("hours: from and to must be whole hours with 0 <= from < to <= 24")
    return [{"days": sorted(set(span["days"])), "from": span["from"], "to": span["to"]} for span in spans]


def _refusal(message: str) -> ValidationError:
    return ValidationError({"targeting": message})
