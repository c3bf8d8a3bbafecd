"""Shapes of the rules API."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import ListParameters, ObjectField, StrictSerializer
from apps.recommendation.lists.asking import Ask
from apps.recommendation.models import Rule, RuleAction, RuleChange, RuleKind, RuleStatus
from apps.recommendation.rules.selectors import differences
from apps.recommendation.rules.services import FIELDS
from apps.recommendation.rules.warnings import warnings_of
from apps.recommendation.serializers import MOST_ITEMS, FilterField, RecommendedItemSerializer, SubjectField
from catalog.serializers import ItemIdField

MOST_PREVIEWED = 20


class RuleFieldsSerializer(StrictSerializer):
    """What can be changed of a rule."""

    name = serializers.CharField(max_length=200)
    kind = serializers.ChoiceField(RuleKind.choices)
    scenarios = serializers.ListField(
        child=serializers.SlugField(max_length=50),
        max_length=50,
        required=False,
        help_text="keys of scenarios; an empty list means all",
    )
    target = FilterField(
        required=False, allow_null=True, help_text="the items that the rule is about, as a filter; a cap needs none"
    )
    values = ObjectField(
        required=False,
        help_text="pin: position. boost, bury: factor. cap: attribute (category or brand), limit, perhaps window. "
        "promote: share, in percent of the places.",
    )
    condition = ObjectField(
        required=False,
        help_text="what a request must say, all of it: context (equal values), query (any of these words in "
        "context.query), category (any of these in context.category), weekdays (1 to 7), hours (UTC)",
    )
    starts_at = serializers.DateTimeField(required=False, allow_null=True)
    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    priority = serializers.IntegerField(required=False, min_value=-1000, max_value=1000)
    notes = serializers.CharField(required=False, allow_blank=True, max_length=2000)


class RuleEditSerializer(RuleFieldsSerializer):
    version = serializers.IntegerField(
        required=False, min_value=1, help_text="that you saw: a rule that has changed since is refused with 409"
    )


class RuleBodySerializer(RuleFieldsSerializer):
    """A rule as it is made: always a draft."""

    key = serializers.SlugField(
        required=False, max_length=50, help_text="how decisions name the rule; made from the name where left out"
    )


class RuleWarningSerializer(serializers.Serializer):
    code = serializers.CharField(
        help_text="same_place, more_than_all, opposed, hidden, few_items, no_items, unknown_scenario or unusable"
    )
    message = serializers.CharField()
    rules = serializers.ListField(child=serializers.CharField(), help_text="keys of the other rules it is about")


class RuleSerializer(serializers.ModelSerializer):
    status = serializers.ChoiceField(
        RuleStatus.choices, read_only=True, help_text="draft, scheduled, live, ended or removed"
    )

    class Meta:
        model = Rule
        fields: tuple[str, ...] = (
            "id",
            "key",
            *FIELDS,
            "status",
            "version",
            "created_by",
            "updated_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class RuleWithWarningsSerializer(RuleSerializer):
    warnings = serializers.SerializerMethodField(help_text="what is likely to be a mistake")

    class Meta(RuleSerializer.Meta):
        fields = (*RuleSerializer.Meta.fields, "warnings")
        read_only_fields = fields

    @extend_schema_field(RuleWarningSerializer(many=True))
    def get_warnings(self, rule: Rule) -> Any:
        return RuleWarningSerializer(warnings_of(rule), many=True).data


class RuleListParameters(ListParameters):
    status = serializers.ChoiceField(RuleStatus.choices, required=False, help_text="without it all but removed ones")


class DifferenceSerializer(serializers.Serializer):
    name = serializers.CharField(help_text="of the field")
    before = serializers.JSONField()
    after = serializers.JSONField()


class RuleChangeSerializer(serializers.ModelSerializer):
    action = serializers.ChoiceField(RuleAction.choices, read_only=True)
    differences = serializers.SerializerMethodField(help_text="each field that was changed")

    class Meta:
        model = RuleChange
        fields = ("version", "action", "actor", "created_at", "differences")
        read_only_fields = fields

    @extend_schema_field(DifferenceSerializer(many=True))
    def get_differences(self, change: RuleChange) -> Any:
        return differences(change)


class RestoreSerializer(StrictSerializer):
    version = serializers.IntegerField(min_value=1, max_value=2_000_000_000, help_text="from the rule's changes")


@extend_schema_field(
    {"oneOf": [{"type": "string", "format": "uuid"}, {"$ref": "#/components/schemas/RuleBodyRequest"}]}
)
class PreviewedRuleField(serializers.Field):
    """The id of a rule, or the body of one that does not exist yet."""

    def to_internal_value(self, data: Any) -> UUID | dict[str, Any]:
        if isinstance(data, str):
            return serializers.UUIDField().run_validation(data)
        return RuleBodySerializer().run_validation(data)


class RulePreviewRequestSerializer(StrictSerializer):
    scenario = serializers.SlugField(max_length=50)
    subject = SubjectField()
    rules = serializers.ListField(child=PreviewedRuleField(), min_length=1, max_length=MOST_PREVIEWED)
    count = serializers.IntegerField(required=False, default=12, min_value=1, max_value=100)
    items = serializers.ListField(child=ItemIdField(), required=False, max_length=MOST_ITEMS)
    filter = FilterField(required=False, allow_null=True)
    context = ObjectField(required=False)  # type: ignore[assignment]

    def ask(self) -> Ask:
        return Ask(**{name: value for name, value in self.validated_data.items() if name != "rules"})


class PreviewedListSerializer(serializers.Serializer):
    degraded = serializers.CharField(allow_null=True)
    notice = serializers.CharField(allow_null=True)
    items = RecommendedItemSerializer(many=True)


class MoveSerializer(serializers.Serializer):
    id = serializers.CharField()
    title = serializers.CharField()
    before = serializers.IntegerField(allow_null=True, help_text="rank without the rules; null where it came in")
    after = serializers.IntegerField(allow_null=True, help_text="rank with the rules; null where it went")
    rules = serializers.ListField(child=serializers.CharField(), help_text="keys of the rules that touched it")


class RulePreviewSerializer(serializers.Serializer):
    """A list without the rules and with them."""

    before = PreviewedListSerializer(help_text="without the rules")
    after = PreviewedListSerializer(help_text="with them")
    moves = MoveSerializer(many=True)
    warnings = RuleWarningSerializer(many=True)
