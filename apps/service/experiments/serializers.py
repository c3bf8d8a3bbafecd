"""Shapes of the API of experiments."""

from rest_framework import serializers

from api.serializers import StrictSerializer
from apps.service.experiments.models import Arm, Experiment, ExperimentOutcome


class ServiceExperimentBodySerializer(StrictSerializer):
    name = serializers.CharField(max_length=100)
    challenger = serializers.UUIDField(help_text="id of a model version, not refused by the gate and not live")
    share = serializers.FloatField(
        default=0.5, min_value=0.01, max_value=0.99, help_text="of the conversations, that the challenger answers"
    )


class ServiceExperimentSerializer(serializers.ModelSerializer):
    scenario = serializers.CharField()
    model = serializers.CharField(help_text="the line of models")
    control = serializers.UUIDField(source="control_id", help_text="the version that was live when it began")
    challenger = serializers.UUIDField(source="challenger_id")
    outcome = serializers.ChoiceField(ExperimentOutcome.choices)
    promoted = serializers.ChoiceField(Arm.choices, allow_blank=True, help_text="empty where no arm was")

    class Meta:
        model = Experiment
        fields = (
            *("id", "name", "scenario", "model", "control", "challenger", "share", "outcome", "promoted"),
            *("started_at", "started_by", "ended_at", "ended_by"),
        )
        read_only_fields = fields


class ArmToPromoteSerializer(StrictSerializer):
    arm = serializers.ChoiceField(Arm.choices)


class ArmMeasureSerializer(serializers.Serializer):
    conversations = serializers.IntegerField(help_text="that it is measured on")
    value = serializers.FloatField(allow_null=True, help_text="null: nothing to measure yet")
    interval = serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="95 %")
    difference = serializers.FloatField(allow_null=True, help_text="to the control; null for the control")
    difference_interval = serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="95 %")
    is_better = serializers.BooleanField(allow_null=True, help_text="null while the interval holds 0")


class ArmMeasuresSerializer(serializers.Serializer):
    acceptance = ArmMeasureSerializer(help_text="accepted / drafts that were judged")
    edit_distance = ArmMeasureSerializer(help_text="mean of the drafts that were sent, 0 to 1")
    containment = ArmMeasureSerializer(
        help_text="share of the conversations whose last message the bot answered and no agent saw"
    )
    satisfaction = ArmMeasureSerializer(help_text="mean rating, 1 to 5")


class ServiceArmReportSerializer(serializers.Serializer):
    arm = serializers.ChoiceField(Arm.choices)
    share = serializers.FloatField()
    version = serializers.IntegerField(help_text="number of the model version")
    conversations = serializers.IntegerField()
    replies = serializers.IntegerField()
    measures = ArmMeasuresSerializer()


class ServiceExperimentReportSerializer(serializers.Serializer):
    arms = ServiceArmReportSerializer(many=True)
