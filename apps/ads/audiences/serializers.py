"""Shapes of the API of audiences."""

from rest_framework import serializers

from api.serializers import StrictSerializer
from api.subjects import SubjectField
from apps.ads.audiences.models import (
    LEAST_SHARE,
    MOST_SHARE,
    Audience,
    AudienceBuild,
    BuildStatus,
    Refresh,
    SeedKind,
)
from apps.ads.audiences.services import MOST_LISTED
from apps.ads.campaigns.serializers import COMMON, AnswerSerializer, NamedSerializer
from apps.ads.campaigns.services import FIELDS


class AudienceFieldsSerializer(NamedSerializer):
    seed_event = serializers.RegexField(
        "^[a-z][a-z0-9_.-]{0,63}$",
        required=False,
        help_text="type of the event that makes a subject one of the seed, such as purchase or ad_conversion",
        error_messages={"invalid": "must be a type of the log, such as purchase"},
    )
    seed_flight_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="its ad_impression, ad_click or ad_conversion alone"
    )
    seed_days = serializers.IntegerField(required=False, min_value=1, max_value=365)
    share = serializers.FloatField(
        required=False, min_value=LEAST_SHARE, max_value=MOST_SHARE, help_text="of all subjects, .01 to .1 as a rule"
    )
    include_seed = serializers.BooleanField(required=False, help_text="add the seed itself")
    refresh = serializers.ChoiceField(Refresh.choices, required=False, help_text="when members are found anew")


class AudienceBodySerializer(AudienceFieldsSerializer):
    key = serializers.RegexField(
        "^[a-z0-9_-]{1,50}$",
        help_text="what targeting names it by, in lower case; never changes",
        error_messages={"invalid": "must be 1 to 50 of a to z, 0 to 9, - and _, such as likely-buyers"},
    )
    seed_kind = serializers.ChoiceField(SeedKind.choices, help_text="never changes")


class AudienceSerializer(AnswerSerializer):
    seed_flight_id = serializers.UUIDField(read_only=True, allow_null=True)

    class Meta:
        model = Audience
        fields = ("id", "key", "seed_kind", *FIELDS[Audience], *COMMON)
        read_only_fields = fields


class AudienceSeedBodySerializer(StrictSerializer):
    subjects = serializers.ListField(child=SubjectField(), min_length=1, max_length=MOST_LISTED)


class AudienceSeedSerializer(serializers.Serializer):
    known = serializers.IntegerField(help_text="subjects of the list that have been seen; the others are not kept")
    unknown = serializers.IntegerField()


class AudienceReportSerializer(serializers.Serializer):
    """Counts of subjects; shares of seeds that were held out."""

    members = serializers.IntegerField(help_text="how many belong to it")
    seed = serializers.IntegerField(help_text="subjects of the seed with a history before it")
    scored = serializers.IntegerField(help_text="subjects who agreed and are known")
    share = serializers.FloatField()
    recall = serializers.FloatField(help_text="of seeds that were held out, found within the share of the others")
    random = serializers.FloatField(help_text="what chance would find")
    activity = serializers.FloatField(help_text="what the number of a subject's events would find")
    head = serializers.CharField(help_text="what was chosen by other held-out seeds")
    model_version = serializers.UUIDField()
    excluded = serializers.DictField(child=serializers.IntegerField(), help_text="by reason")


class AudienceBuildSerializer(serializers.ModelSerializer):
    status = serializers.ChoiceField(BuildStatus.choices, read_only=True)
    report = AudienceReportSerializer(read_only=True, allow_null=True)

    class Meta:
        model = AudienceBuild
        fields = ("id", "status", "report", "error", "requested_by", "created_at", "started_at", "finished_at")
        read_only_fields = fields
