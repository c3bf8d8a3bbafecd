"""Shapes of the back-tests API."""

from typing import Any

from rest_framework import serializers

from apps.risk.back_tests.models import BackTest
from apps.risk.rules.models import RiskAction
from apps.risk.rules.serializers import RuleOrExpressionSerializer


def _first_day(**options: Any) -> serializers.DateField:
    """Of the field `from`, which cannot be the name of an attribute."""
    return serializers.DateField(source="from_day", help_text="first day (UTC)", **options)


class BackTestRequestSerializer(RuleOrExpressionSerializer):
    action = serializers.ChoiceField(RiskAction.choices, required=False, help_text="of a rule its own")
    to = serializers.DateField(help_text="last day (UTC)")

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {"from": _first_day()}


class BackTestDaySerializer(serializers.Serializer):
    day = serializers.DateField()
    mature = serializers.BooleanField(help_text="false where fraud may still become known")
    transactions = serializers.IntegerField(help_text="of the day")
    alerts = serializers.IntegerField()
    frauds = serializers.IntegerField()
    caught = serializers.IntegerField()
    fraud_amount = serializers.FloatField()
    caught_amount = serializers.FloatField()


class BackTestOverlapSerializer(serializers.Serializer):
    key = serializers.CharField(help_text="a live rule")
    hits = serializers.IntegerField()
    shared = serializers.IntegerField(help_text="hits that both have")


class BackTestSampleSerializer(serializers.Serializer):
    transaction_id = serializers.CharField()
    amount = serializers.FloatField()
    currency = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    fraud = serializers.BooleanField(help_text="known by now")


class BackTestReportSerializer(serializers.Serializer):
    transactions = serializers.IntegerField(help_text="of the whole period")
    alerts = serializers.IntegerField()
    alerts_a_day = serializers.FloatField()
    new_alerts = serializers.IntegerField(help_text="those that no live rule has")
    mature_alerts = serializers.IntegerField(help_text="those of mature days; the rates rest on these days")
    frauds = serializers.IntegerField()
    caught = serializers.IntegerField()
    fraud_amount = serializers.FloatField()
    caught_amount = serializers.FloatField()
    precision = serializers.FloatField(allow_null=True)
    recall = serializers.FloatField(allow_null=True)
    amount_recall = serializers.FloatField(allow_null=True)
    days = BackTestDaySerializer(many=True)
    overlap = BackTestOverlapSerializer(many=True)
    sample = BackTestSampleSerializer(many=True)


class BackTestSerializer(serializers.ModelSerializer):
    status = serializers.ChoiceField(BackTest.Status.choices, read_only=True)
    rule = serializers.UUIDField(source="rule_id", allow_null=True, read_only=True)
    progress = serializers.FloatField(read_only=True, help_text="from 0 to 1")
    report = BackTestReportSerializer(allow_null=True, read_only=True)
    to = serializers.DateField(source="to_day", read_only=True, help_text="last day (UTC)")

    class Meta:
        model = BackTest
        fields = (
            "id",
            "rule",
            "expression",
            "action",
            "to",
            "status",
            "progress",
            "error",
            "report",
            "requested_by",
            "created_at",
            "finished_at",
        )
        read_only_fields = fields

    def get_fields(self) -> dict[str, Any]:
        return super().get_fields() | {"from": _first_day(read_only=True)}
