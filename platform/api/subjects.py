"""The subject of a request, as fields of its body."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.events import SubjectSerializer
from behavior.judging import SUBJECT_FIELDS
from behavior.parsing import PARSERS
from behavior.subjects import BadSubject, Subject, read_subject


@extend_schema_field(SubjectSerializer)
class SubjectField(serializers.Field):
    """{"user_id"?, "anonymous_id"?, "session_id"?}, read into the subject's keys."""

    def to_internal_value(self, data: Any) -> Subject:
        try:
            return read_subject(data)
        except BadSubject as error:
            problems = {
                reason["field"].removeprefix("subject").lstrip("."): [reason["message"]] for reason in error.reasons
            }
            raise serializers.ValidationError(problems.get("", problems)) from error


@extend_schema_field(SubjectSerializer)
class SubjectIdsField(SubjectField):
    """The same, as the ids themselves by kind: for what is to be stored as an event of this subject."""

    def to_internal_value(self, data: Any) -> dict[str, str]:  # type: ignore[override]
        super().to_internal_value(data)
        return {name: PARSERS[name](data[name]) for name in SUBJECT_FIELDS if data.get(name) is not None}
