"""Shapes of the recommendation API: what is refused, and how it is documented."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.events import SubjectSerializer
from apps.recommendation.scenarios import ScenarioSettings
from apps.recommendation.services import Ask, Recommendation
from behavior.parsing import Invalid, parse_properties
from behavior.subjects import BadSubject, Subject, read_subject
from catalog.filters import FilterError, parse_filter
from catalog.serializers import ItemIdField

MOST_ITEMS = 100
MOST_EXCLUDED = 10_000


@extend_schema_field(SubjectSerializer)
class SubjectField(serializers.Field):
    def to_internal_value(self, data: Any) -> Subject:
        try:
            return read_subject(data)
        except BadSubject as error:
            problems = {
                reason["field"].removeprefix("subject").lstrip("."): [reason["message"]] for reason in error.reasons
            }
            raise serializers.ValidationError(problems.get("", problems)) from error


@extend_schema_field(OpenApiTypes.OBJECT)
class ObjectField(serializers.Field):
    """A JSON object that can be stored: no NUL, no NaN, at most 32 KB."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        try:
            parse_properties(data)
        except Invalid as error:
            raise serializers.ValidationError(error.message, code=error.code) from error
        if not isinstance(data, dict):
            raise serializers.ValidationError("must be a JSON object", code="wrong_type")
        return data


class FilterField(ObjectField):
    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value = super().to_internal_value(data)
        try:
            parse_filter(value)
        except FilterError as error:
            raise serializers.ValidationError(error.detail) from error
        return value


class ParamsField(ObjectField):
    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value = super().to_internal_value(data)
        try:
            ScenarioSettings.from_dict(value)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from error
        return value


class StrictSerializer(serializers.Serializer):
    """Refuses fields that it does not know, and names those that it does."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (unknown := sorted(data.keys() - self.fields.keys())):
            known = ", ".join(self.fields)
            raise serializers.ValidationError({name: [f"is not a field; known are {known}"] for name in unknown})
        return super().to_internal_value(data)


class AskSerializer(StrictSerializer):
    """A request for recommendations."""

    scenario = serializers.SlugField(max_length=50, help_text="Key of the scenario, such as home.")
    subject = SubjectField()
    items = serializers.ListField(
        child=ItemIdField(),
        required=False,
        max_length=MOST_ITEMS,
        help_text="Seeds of a similar list; without them it starts from the item that the subject touched last.",
    )
    count = serializers.IntegerField(required=False, default=12, min_value=1, max_value=100)
    filter = FilterField(required=False, allow_null=True, help_text="Which items may appear; the same as in GET items.")
    exclude = serializers.ListField(
        child=ItemIdField(), required=False, max_length=MOST_EXCLUDED, help_text="Ids that must not appear."
    )
    params = ParamsField(required=False, help_text="Scenario settings replaced for this request.")
    context = ObjectField(  # type: ignore[assignment]
        required=False, help_text="What the client knows of the moment; kept with the decision."
    )
    explain = serializers.BooleanField(required=False, default=True, help_text="false leaves the reasons out.")

    def ask(self) -> Ask:
        return Ask(**self.validated_data)


class RecommendationReasonSerializer(serializers.Serializer):
    code = serializers.ChoiceField(["because_of", "similar_to", "popular", "trending", "newest", "explored"])
    text = serializers.CharField(help_text="In words for the subject.")
    weight = serializers.FloatField(
        help_text="0 to 1; for because_of the share of the score that the event accounts for."
    )
    item_id = serializers.CharField(required=False)
    event_type = serializers.CharField(required=False)
    event_id = serializers.UUIDField(required=False)


class RecommendedItemSerializer(serializers.Serializer):
    id = serializers.CharField()
    rank = serializers.IntegerField(help_text="From 1.")
    score = serializers.FloatField()
    propensity = serializers.FloatField(help_text="Probability of this item at this rank under the policy.")
    reasons = RecommendationReasonSerializer(many=True)
    rules = serializers.ListField(child=serializers.CharField(), help_text="Operator rules that touched the item.")


class RecommendationSerializer(serializers.Serializer):
    """The answer. Send decision_id back with the events that follow from it."""

    decision_id = serializers.UUIDField()
    scenario = serializers.CharField()
    kind = serializers.CharField()
    model_version = serializers.UUIDField(allow_null=True)
    policy = serializers.CharField()
    experiment = serializers.CharField(allow_null=True, help_text="null: no experiment runs on the scenario.")
    degraded = serializers.CharField(
        allow_null=True,
        help_text="null: the scenario's own source answered. Else what stood in for it: previous_version, rules, "
        "popular, newest, or empty when there is nothing to recommend.",
    )
    notice = serializers.CharField(allow_null=True, help_text="Why the list is shorter than asked for.")
    items = RecommendedItemSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="null: the list has one page.")


def present(answer: Recommendation) -> dict[str, Any]:
    return {
        "decision_id": answer.decision_id,
        "scenario": answer.scenario.key,
        "kind": answer.scenario.kind,
        "model_version": answer.model_version,
        "policy": answer.policy,
        "experiment": None,
        "degraded": answer.degraded,
        "notice": answer.notice,
        "items": answer.items,
        "next_cursor": None,
    }
