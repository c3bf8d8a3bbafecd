"""Reading of bodies whose parts are judged one by one, and how what is wrong with them is told."""

import json
from collections.abc import Sequence
from typing import Any

from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.request import Request

from api.errors import TooLarge
from behavior.judging import Reason


def read_json(request: Request) -> Any:
    """The body, in which NaN passes so that its own field is blamed. Raises ParseError."""
    try:
        return json.loads(request._request.body)
    except json.JSONDecodeError as error:
        raise ParseError(f"is no JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise ParseError(f"is no JSON that can be read: {error}") from None


def read_list(body: Any, name: str, most: int) -> list[Any]:
    """The list of {name: [...]}. Raises ValidationError, and TooLarge where it holds more than `most`."""
    if not isinstance(body, dict) or name not in body:
        raise ValidationError(f'send {{"{name}": [...]}}')
    if unknown := sorted(body.keys() - {name}):
        shown = unknown[0].encode(errors="backslashreplace").decode()
        raise ValidationError({shown: f"is unknown beside '{name}'"})
    if not isinstance(body[name], list):
        raise ValidationError({name: "must be a list"})
    if len(body[name]) > most:
        raise TooLarge(f"{len(body[name]):,} {name} in one call; at most {most:,} are taken, nothing was stored")
    return body[name]


def refusal(reasons: Sequence[Reason]) -> ValidationError:
    """All reasons as one error of the API, each at its field."""
    detail: dict[str, Any] = {}
    for reason in reasons:
        *outer, last = (reason["field"] or "non_field_errors").split(".")
        place = detail
        for name in outer:
            inner = place.setdefault(name, {})
            place = inner if isinstance(inner, dict) else place
        problem = ErrorDetail(reason["message"], reason["code"])
        if isinstance(place.get(last), list):
            place[last].append(problem)
        else:
            place[last] = [problem]
    return ValidationError(detail)
