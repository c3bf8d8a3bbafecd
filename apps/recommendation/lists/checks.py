"""What a setting may be: judged one by one, and told to the API's documentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from catalog.filters import FilterError
from catalog.saved_filters import read_filter

MOST_TYPES = 100


class Check(Protocol):
    def problem(self, value: Any) -> str | None:
        """What is wrong with a value, and the cure; None where it can be used."""
        ...

    def schema(self) -> dict[str, Any]:
        """The values that can be used, as OpenAPI describes them."""
        ...


@dataclass(frozen=True)
class Number:
    """A number from `lowest` to `highest`; `or_zero` lets 0 in as well."""

    lowest: float
    highest: float
    or_zero: bool = False

    def problem(self, value: Any) -> str | None:
        if _is_number(value) and (self.lowest <= value <= self.highest or (self.or_zero and value == 0)):
            return None
        zero = "0, or " if self.or_zero else ""
        return f"must be {zero}a number from {self.lowest:g} to {self.highest:g}"

    def schema(self) -> dict[str, Any]:
        return {"type": "number", "minimum": 0 if self.or_zero else self.lowest, "maximum": self.highest}


@dataclass(frozen=True)
class Whole:
    """A whole number of `unit` from `lowest` to `highest`."""

    unit: str
    lowest: int
    highest: int

    def problem(self, value: Any) -> str | None:
        if _is_number(value) and isinstance(value, int) and self.lowest <= value <= self.highest:
            return None
        return f"must be a whole number of {self.unit} from {self.lowest} to {self.highest}"

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.lowest, "maximum": self.highest}


@dataclass(frozen=True)
class Flag:
    """True or false; `or_null` lets null in as well."""

    or_null: bool = False

    def problem(self, value: Any) -> str | None:
        if isinstance(value, bool) or (self.or_null and value is None):
            return None
        return "must be true, false or null" if self.or_null else "must be true or false"

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean", "nullable": self.or_null}


@dataclass(frozen=True)
class EventTypes:
    """A list of event types, such as `example`."""

    example: str

    def problem(self, value: Any) -> str | None:
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or not all(isinstance(each, str) for each in value)
        ):
            return f'must be a list of event types, such as ["{self.example}"]'
        if len(value) > MOST_TYPES:
            return f"must hold at most {MOST_TYPES} event types"
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": {"type": "string"}, "maxItems": MOST_TYPES}


@dataclass(frozen=True)
class EventWeights:
    """A weight from 0 to 1000 by event type."""

    def problem(self, value: Any) -> str | None:
        if not isinstance(value, dict):
            return 'must be an object such as {"view": 1, "purchase": 5}'
        if not all(_is_number(weight) and 0.0 <= weight <= 1000.0 for weight in value.values()):
            return "holds a weight that is not a number from 0 to 1000"
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1000}}


@dataclass(frozen=True)
class Filter:
    """A filter expression over items, or null."""

    def problem(self, value: Any) -> str | None:
        if value is None:
            return None
        try:
            read_filter(value)
        except FilterError as error:
            return str(error)
        return None

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "nullable": True}


@dataclass(frozen=True)
class CategoryWindow:
    """{"size": places, "limit": items of one category among them}, or null."""

    largest: int = 100

    def problem(self, value: Any) -> str | None:
        if value is None:
            return None
        example = 'such as {"size": 5, "limit": 2}'
        if not isinstance(value, dict) or value.keys() != {"size", "limit"}:
            return f"must be null, or an object with size and limit, {example}"
        size, limit = value["size"], value["limit"]
        if not (_is_whole(size) and 2 <= size <= self.largest):
            return f"needs a size that is a whole number from 2 to {self.largest}, {example}"
        if not (_is_whole(limit) and 1 <= limit < size):
            return f"needs a limit that is a whole number from 1 to less than its size, {example}"
        return None

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "nullable": True,
            "additionalProperties": False,
            "required": ["size", "limit"],
            "properties": {
                "size": {"type": "integer", "minimum": 2, "maximum": self.largest},
                "limit": {"type": "integer", "minimum": 1},
            },
        }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
