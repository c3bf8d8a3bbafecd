"""Fields and serializers of bodies that somebody waits for: what is right is let through at once.

Whatever is not plainly right goes the way of rest_framework, which mends it or says what is wrong; so what is taken and
what is refused, and how, is the same.
"""

from functools import cached_property
from typing import Any

from rest_framework import serializers
from rest_framework.fields import empty

from api.serializers import StrictSerializer


class QuickText(serializers.CharField):
    def run_validation(self, data: Any = empty) -> Any:
        return data if self.is_plain(data) else super().run_validation(data)

    def is_plain(self, data: Any) -> bool:
        """Whether nothing of it would be trimmed, converted or refused."""
        is_text = type(data) is str and data.isascii() and "\0" not in data
        return is_text and 0 < len(data) <= (self.max_length or 0) and data == data.strip()


class QuickTexts(serializers.ListField):
    """A list of `QuickText`."""

    child: QuickText

    def run_validation(self, data: Any = empty) -> Any:
        is_short = type(data) is list and len(data) <= (self.max_length or 0)
        return data if is_short and all(map(self.child.is_plain, data)) else super().run_validation(data)


class QuickSerializer(StrictSerializer):
    """For serializers without validators of their own; fields that a body leaves out cost nothing."""

    def run_validation(self, data: Any = empty) -> Any:
        if type(data) is dict:
            try:
                values = {name: self.fields[name].run_validation(value) for name, value in data.items()}
            except (KeyError, serializers.ValidationError):
                return super().run_validation(data)
            if values.keys() >= self._required:
                return self._defaults | values
        return super().run_validation(data)

    @cached_property
    def _required(self) -> set[str]:
        return {name for name, each in self.fields.items() if each.required}

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        return {name: each.default for name, each in self.fields.items() if each.default is not empty}
