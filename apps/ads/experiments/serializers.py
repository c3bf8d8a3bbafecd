"""Shapes of the API of experiments."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import ListParameters
from apps.ads.campaigns.serializers import COMMON, AnswerSerializer, NamedSerializer
from apps.ads.campaigns.services import FIELDS
from apps.ads.experiments.arms import LONGEST_NAME, MOST_ARMS, MOST_MEMBERS
from apps.ads.experiments.models import Experiment


class AdArmSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=LONGEST_NAME)
    share = serializers.FloatField(help_text="of the readers; all add up to 1")
    members = serializers.ListField(
        child=serializers.UUIDField(), min_length=1, max_length=MOST_MEMBERS, help_text="flights or creatives"
    )


@extend_schema_field(AdArmSerializer(many=True))
class ArmsField(serializers.JSONField):
    """As the service reads it, which names what is wrong."""

    def to_internal_value(self, data: Any) -> Any:
        return data


class ExperimentFieldsSerializer(NamedSerializer):
    starts_at = serializers.DateTimeField(help_text="now where it has passed; fixed once it has begun")
    ends_at = serializers.DateTimeField(help_text="fixed once it has passed")
    arms = ArmsField(
        help_text=f"2 to {MOST_ARMS}; the first is what the others are compared with; fixed once it has begun"
    )


class ExperimentBodySerializer(ExperimentFieldsSerializer):
    campaign_id = serializers.UUIDField()


class ExperimentSerializer(AnswerSerializer):
    campaign_id = serializers.UUIDField(read_only=True)
    arms = AdArmSerializer(many=True, read_only=True)

    class Meta:
        model = Experiment
        fields = ("id", "campaign_id", *FIELDS[Experiment], *COMMON)
        read_only_fields = fields


class ExperimentListParameters(ListParameters):
    campaign_id = serializers.UUIDField(required=False)


class AdArmReportSerializer(serializers.Serializer):
    arm = serializers.CharField()
    share = serializers.FloatField()
    readers = serializers.IntegerField(help_text="who saw one of its ads")
    impressions = serializers.IntegerField()
    clicks = serializers.IntegerField()
    conversions = serializers.IntegerField()
    spend_micros = serializers.IntegerField()
    ctr = serializers.FloatField(allow_null=True)
    ctr_interval = serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="95 %")
    difference = serializers.FloatField(allow_null=True, help_text="of the CTR, less the first arm's")
    difference_interval = serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="95 %")
    is_certain = serializers.BooleanField(help_text="the interval of the difference leaves 0 out")


class AdExperimentReportSerializer(serializers.Serializer):
    arms = AdArmReportSerializer(many=True)
