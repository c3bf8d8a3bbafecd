"""Shapes of the recommendation API: what is refused, and how it is documented."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import ObjectField, StrictSerializer
from api.subjects import SubjectField
from apps.recommendation.engine import MEMBERS
from apps.recommendation.lists.asking import Recommendation
from apps.recommendation.lists.settings import ScenarioSettings, settings_schema
from catalog.filters import FilterError
from catalog.saved_filters import read_filter
from catalog.serializers import ItemIdField

MOST_ITEMS = 100
MOST_EXCLUDED = 10_000


class FilterField(ObjectField):
    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value = super().to_internal_value(data)
        try:
            read_filter(value)
        except FilterError as error:
            raise serializers.ValidationError(error.detail) from error
        return value


@extend_schema_field(settings_schema())
class ParamsField(ObjectField):
    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value = super().to_internal_value(data)
        try:
            ScenarioSettings.from_dict(value)
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from error
        return value


@extend_schema_field(
    {
        "oneOf": [{"type": "boolean"}, {"type": "string", "enum": ["full"]}],
        "default": True,
        "description": "false leaves the reasons and the parts of the scores out; full also takes each score apart "
        "into members and events, which asks the model a second time.",
    }
)
class ExplainField(serializers.BooleanField):
    default_error_messages = {"invalid": "must be a boolean or full"}

    def to_internal_value(self, data: Any) -> bool | str:  # type: ignore[override]
        if data == "full":
            return "full"
        return super().to_internal_value(data)


class ListRequestSerializer(StrictSerializer):
    """What makes up a list, whoever it is for."""

    scenario = serializers.SlugField(max_length=50, help_text="Key of the scenario, such as home.")
    items = serializers.ListField(
        child=ItemIdField(),
        required=False,
        max_length=MOST_ITEMS,
        help_text="What the list starts from: the product of the page, or the items in the cart; without them the item "
        "that the subject touched last.",
    )
    count = serializers.IntegerField(required=False, default=12, min_value=1, max_value=100)
    filter = FilterField(
        required=False,
        allow_null=True,
        help_text='Which items may appear, as in GET items; or a saved filter: {"saved": key, "params": {}}.',
    )
    exclude = serializers.ListField(
        child=ItemIdField(), required=False, max_length=MOST_EXCLUDED, help_text="Ids that must not appear."
    )
    params = ParamsField(required=False, help_text="Scenario settings replaced for this request.")
    context = ObjectField(  # type: ignore[assignment]
        required=False,
        help_text="What the client knows of the moment; kept with the decision. A category page needs `category` here.",
    )
    explain = ExplainField(required=False, default=True)


class AskSerializer(ListRequestSerializer):
    """A request for recommendations."""

    subject = SubjectField()
    cursor = serializers.CharField(
        required=False,
        max_length=1000,
        help_text="next_cursor of the page before. The list goes on with the first page's items, filter, exclude, "
        "params and context, which need not be sent again and must not change; count may.",
    )


class ReasonEventSerializer(serializers.Serializer):
    item_id = serializers.CharField(required=False)
    event_type = serializers.CharField(required=False)
    event_id = serializers.UUIDField(required=False)
    weight = serializers.FloatField(help_text="Its own share of the score.")


class RecommendationReasonSerializer(serializers.Serializer):
    code = serializers.ChoiceField(
        [
            "because_of",
            "similar_to",
            "also_bought",
            "bought_together",
            "recently_viewed",
            "buy_again",
            "popular",
            "trending",
            "newest",
            "promoted",
            "explored",
        ]
    )
    text = serializers.CharField(help_text="In words for the subject.")
    weight = serializers.FloatField(
        help_text="0 to 1; for because_of the share of the score that the named events account for together."
    )
    item_id = serializers.CharField(required=False, help_text="With event_type and event_id: the strongest one.")
    event_type = serializers.CharField(required=False)
    event_id = serializers.UUIDField(required=False)
    events = ReasonEventSerializer(
        many=True, required=False, help_text="Where several matter: all that the text names, the strongest first."
    )


class EventWeightSerializer(serializers.Serializer):
    event_id = serializers.UUIDField()
    weight = serializers.FloatField(help_text="Share of the item's score; below 0 where it speaks against the item.")


class MemberSerializer(serializers.Serializer):
    """What one member of the mixture adds to a score."""

    name = serializers.ChoiceField(MEMBERS)
    score = serializers.FloatField(help_text="Its part; all parts sum to the score.")
    share = serializers.FloatField(help_text="The same as a share of the score.")
    events = EventWeightSerializer(many=True, help_text="What lacks to the share is owed to no event.")


class ReadEventSerializer(serializers.Serializer):
    event_id = serializers.UUIDField()
    type = serializers.CharField()
    item_id = serializers.CharField()
    title = serializers.CharField(allow_blank=True)
    occurred_at = serializers.DateTimeField()


class RecommendedItemSerializer(serializers.Serializer):
    id = serializers.CharField()
    rank = serializers.IntegerField(help_text="From 1; counts on over the pages of a list.")
    score = serializers.FloatField()
    propensity = serializers.FloatField(help_text="Probability of this item at this rank under the policy.")
    reasons = RecommendationReasonSerializer(many=True)
    rules = serializers.ListField(
        child=serializers.CharField(),
        help_text="Keys of the operator rules that touched the item; '<key>:relaxed' for a cap that gave way to it, "
        "and category_window_relaxed where the window could not hold.",
    )
    parts = serializers.DictField(
        child=serializers.FloatField(),
        required=False,
        help_text="What the score is the product of: `source`, the score that the item came with, and a factor for "
        "each setting that touched it (freshness, price, rotation, negative_feedback) and each rule. With diversity "
        "`likeness` stands beside them: the greatest to the items above. Only where explain is true.",
    )
    members = MemberSerializer(many=True, required=False, help_text="With explain full: the score taken apart.")


class FullExplanationSerializer(serializers.Serializer):
    available = serializers.BooleanField()
    notice = serializers.CharField(allow_null=True, help_text="Why the members are missing, or what differs.")
    events = ReadEventSerializer(many=True, help_text="What the model read, oldest first.")


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
        help_text="null: the scenario's own source answered, or the subject has done nothing yet that it could rest on "
        "and popularity answered. Else what stood in for it: previous_version, rules, "
        "similar_to, also_bought, popular, newest, or empty when there is nothing to recommend.",
    )
    notice = serializers.CharField(allow_null=True, help_text="Why the list is shorter than asked for.")
    items = RecommendedItemSerializer(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="Asks for the next page; null: the list ends here.")
    explanation = FullExplanationSerializer(required=False, help_text="With explain full.")


def present(answer: Recommendation, *, explain: bool) -> dict[str, Any]:
    return {
        "decision_id": answer.decision_id,
        "scenario": answer.scenario.key,
        "kind": answer.scenario.kind,
        "model_version": answer.model_version,
        "policy": answer.policy,
        "experiment": None,
        "degraded": answer.degraded,
        "notice": answer.notice,
        "items": [{name: value for name, value in item.items() if explain or name != "parts"} for item in answer.items],
        "next_cursor": answer.next_cursor,
    }
