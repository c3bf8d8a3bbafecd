"""Shapes of the risk rules API."""

from datetime import date, timedelta
from functools import cached_property
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import ListParameters, ObjectField, StrictSerializer
from apps.risk.rules.counting import hits_since
from apps.risk.rules.models import RiskAction, RiskRule, RiskRuleChange, RiskRuleMode, RiskSeverity
from apps.risk.rules.selectors import differences
from apps.risk.rules.services import FIELDS

HIT_DAYS = 7
NO_HITS = {"live": 0, "shadow": 0}
EXPRESSION = {"max_length": 4000, "help_text": "a condition over the fields of GET risk/fields"}


def since_hits() -> date:
    return timezone.now().date() - timedelta(days=HIT_DAYS - 1)


class RiskFieldSerializer(serializers.Serializer):
    name = serializers.CharField()
    type = serializers.ChoiceField(
        ["number", "text", "boolean", "key"], help_text="a key is personal: it can be looked up in lists alone"
    )
    group = serializers.ChoiceField(["transaction", "velocity", "model"])
    description = serializers.CharField()


class RiskFieldsSerializer(serializers.Serializer):
    fields = RiskFieldSerializer(many=True)  # type: ignore[assignment]


class RiskRuleFieldsSerializer(StrictSerializer):
    """What can be changed of a rule."""

    name = serializers.CharField(max_length=200)
    description = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    expression = serializers.CharField(**EXPRESSION)  # type: ignore[arg-type]
    action = serializers.ChoiceField(RiskAction.choices)
    severity = serializers.ChoiceField(RiskSeverity.choices, required=False)
    priority = serializers.IntegerField(required=False, min_value=-1000, max_value=1000)
    starts_at = serializers.DateTimeField(required=False, allow_null=True)
    ends_at = serializers.DateTimeField(required=False, allow_null=True)


class RiskRuleEditSerializer(RiskRuleFieldsSerializer):
    version = serializers.IntegerField(
        required=False, min_value=1, help_text="that you saw: a rule that has changed since is refused with 409"
    )


class RiskRuleBodySerializer(RiskRuleFieldsSerializer):
    """A rule as it is made: always a draft."""

    key = serializers.SlugField(
        required=False, max_length=50, help_text="how decisions name the rule; made from the name where left out"
    )


class RuleHitCountsSerializer(serializers.Serializer):
    live = serializers.IntegerField()
    shadow = serializers.IntegerField()


class RiskRuleSerializer(serializers.ModelSerializer):
    is_removed = serializers.SerializerMethodField()
    hits_7d = serializers.SerializerMethodField(help_text="assessments of the last 7 days (UTC) that it hit")

    class Meta:
        model = RiskRule
        fields = (
            "id",
            "key",
            *FIELDS,
            "mode",
            "is_removed",
            "version",
            "hits_7d",
            "created_by",
            "updated_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_is_removed(self, rule: RiskRule) -> bool:
        return rule.removed_at is not None

    @extend_schema_field(RuleHitCountsSerializer)
    def get_hits_7d(self, rule: RiskRule) -> dict[str, int]:
        return self.hits.get(rule.key, NO_HITS)

    @cached_property
    def hits(self) -> dict[str, dict[str, int]]:
        """One query for all rules of an answer."""
        return hits_since(since_hits())


class RiskRuleListParameters(ListParameters):
    mode = serializers.ChoiceField(RiskRuleMode.choices, required=False, help_text="without it all")


class RiskRuleDifferenceSerializer(serializers.Serializer):
    name = serializers.CharField(help_text="of the field")
    before = serializers.JSONField()
    after = serializers.JSONField()


class RiskRuleChangeSerializer(serializers.ModelSerializer):
    action = serializers.ChoiceField(RiskRuleChange.Action.choices, read_only=True)
    differences = serializers.SerializerMethodField(help_text="each field that was changed")

    class Meta:
        model = RiskRuleChange
        fields = ("version", "action", "actor", "created_at", "differences")
        read_only_fields = fields

    @extend_schema_field(RiskRuleDifferenceSerializer(many=True))
    def get_differences(self, change: RiskRuleChange) -> Any:
        return differences(change)


class RiskRuleRestoreSerializer(StrictSerializer):
    version = serializers.IntegerField(min_value=1, max_value=2_000_000_000, help_text="from the rule's changes")


class RuleOrExpressionSerializer(StrictSerializer):
    """A stored rule, or an expression that no rule has yet."""

    rule = serializers.UUIDField(required=False, help_text="id of a rule")
    expression = serializers.CharField(required=False, **EXPRESSION)  # type: ignore[arg-type]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("rule" in attrs) == ("expression" in attrs):
            raise serializers.ValidationError({"expression": "send either an expression or the id of a rule"})
        return attrs


class DryRunRequestSerializer(RuleOrExpressionSerializer):
    transaction_id = serializers.CharField(required=False, max_length=200, help_text="a stored transaction")
    facts = ObjectField(required=False, help_text="or made-up values of fields, by name")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if ("transaction_id" in attrs) == ("facts" in attrs):
            raise serializers.ValidationError({"facts": "send either facts or a transaction_id"})
        return attrs


class DryRunPartSerializer(serializers.Serializer):
    text = serializers.CharField()
    column = serializers.IntegerField(help_text="where it begins, from 1")
    value = serializers.JSONField(help_text="a number, a text, true, false, or null where it is missing")


class DryRunSerializer(serializers.Serializer):
    holds = serializers.BooleanField()
    parts = DryRunPartSerializer(many=True)
