"""What the arms of an experiment must be."""

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from behavior.parsing import Invalid, check_storable

MOST_ARMS = 10
MOST_MEMBERS = 100
LONGEST_NAME = 50


def read_arms(arms: Any) -> list[dict[str, Any]]:
    """The arms as they are stored. Raises ValidationError for the field `arms`."""
    if not isinstance(arms, list) or not 2 <= len(arms) <= MOST_ARMS:
        raise refusal(f"must be a list of 2 to {MOST_ARMS} arms")
    read = [_read_arm(arm) for arm in arms]
    if abs(sum(arm["share"] for arm in read) - 1) > 1e-6:
        raise refusal("have shares that do not add up to 1")
    if len({arm["name"] for arm in read}) < len(read):
        raise refusal("need names that differ")
    members = [member for arm in read for member in arm["members"]]
    if len(set(members)) < len(members):
        raise refusal("name one flight or creative twice")
    return read


def refusal(message: str) -> ValidationError:
    return ValidationError({"arms": message})


def _read_arm(arm: Any) -> dict[str, Any]:
    if not isinstance(arm, dict) or arm.keys() != {"name", "share", "members"}:
        raise refusal('must hold arms such as {"name": "low bid", "share": 0.5, "members": ["<id of a flight>"]}')
    name, share, members = arm["name"], arm["share"], arm["members"]
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= LONGEST_NAME:
        raise refusal(f"need names of 1 to {LONGEST_NAME} characters")
    try:
        check_storable(name)
    except Invalid as problem:
        raise refusal(f"have a name that {problem.message}") from None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise refusal("need shares between 0 and 1")
    if not isinstance(members, list) or not 1 <= len(members) <= MOST_MEMBERS:
        raise refusal(f"need 1 to {MOST_MEMBERS} members, ids of flights or creatives")
    try:
        return {"name": name.strip(), "share": float(share), "members": [str(UUID(each)) for each in members]}
    except (ValueError, TypeError, AttributeError):
        raise refusal("have members that are no ids") from None
