"""Shapes of the API of advertisers, campaigns, flights, creatives and placements.

What is made has a body (`...Body`), what is changed another without the fixed fields, what is answered has all.
"""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import ListParameters, ObjectField, StrictSerializer
from apps.ads.campaigns.models import (
    EARLIEST,
    HIGHEST_BID,
    HIGHEST_BUDGET,
    LARGEST_SIDE,
    LATEST,
    LONGEST_URL,
    AdChange,
    Advertiser,
    AuctionKind,
    BidKind,
    Campaign,
    Creative,
    Flight,
    FlightStatus,
    GoalKind,
    PacingKind,
    Placement,
    ReviewStatus,
)
from apps.ads.campaigns.selectors import differences
from apps.ads.campaigns.services import FIELDS
from apps.ads.settings import MOST_ADDRESSES

COMMON = ("version", "is_archived", "created_by", "updated_by", "created_at", "updated_at")
CURRENCY = {
    "regex": "^[A-Z]{3}$",
    "help_text": "ISO 4217; never changes",
    "error_messages": {"invalid": "must be an ISO 4217 code in use, such as EUR"},
}
MICROS_HELP = "in millionths of a currency unit"
SEEN_VERSION = "the one that was read; where another has come since, the change is refused with 409"


def bid_field(help_text: str, *, least: int, **options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=least, max_value=HIGHEST_BID, help_text=f"{help_text}, {MICROS_HELP}", **options
    )


def budget_field(**options: Any) -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=HIGHEST_BUDGET, help_text=MICROS_HELP, **options)


def side_field() -> serializers.IntegerField:
    return serializers.IntegerField(min_value=1, max_value=LARGEST_SIDE, help_text="pixels")


class NamedSerializer(StrictSerializer):
    name = serializers.CharField(max_length=200)


def change_of(fields: type[NamedSerializer]) -> type[NamedSerializer]:
    """The body of a change: the fields, and the version that was seen."""
    seen = serializers.IntegerField(required=False, min_value=1, help_text=SEEN_VERSION)
    return type(fields.__name__, (fields,), {"version": seen})


class AnswerSerializer(serializers.ModelSerializer):
    is_archived = serializers.SerializerMethodField()

    def get_is_archived(self, found: Any) -> bool:
        return found.archived_at is not None


# Advertisers ---------------------------------------------------------------------------------------------------------
class AdvertiserFieldsSerializer(NamedSerializer):
    own_networks = serializers.ListField(
        child=serializers.CharField(max_length=50),
        required=False,
        max_length=MOST_ADDRESSES,
        help_text="where its own people sit, such as 203.0.113.0/24: what they see and click counts for nothing",
    )


class AdvertiserBodySerializer(AdvertiserFieldsSerializer):
    currency = serializers.RegexField(**CURRENCY)  # type: ignore[arg-type]


class AdvertiserSerializer(AnswerSerializer):
    own_networks = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Advertiser
        fields = ("id", "currency", *FIELDS[Advertiser], *COMMON)
        read_only_fields = fields


# Campaigns -----------------------------------------------------------------------------------------------------------
class CampaignFieldsSerializer(NamedSerializer):
    pass


class CampaignBodySerializer(CampaignFieldsSerializer):
    advertiser_id = serializers.UUIDField()


class CampaignSerializer(AnswerSerializer):
    advertiser_id = serializers.UUIDField(read_only=True)

    class Meta:
        model = Campaign
        fields = ("id", "advertiser_id", *FIELDS[Campaign], *COMMON)
        read_only_fields = fields


# Flights -------------------------------------------------------------------------------------------------------------
TIMES = f"between the years {EARLIEST.year} and {LATEST.year}"


class FlightFieldsSerializer(NamedSerializer):
    starts_at = serializers.DateTimeField(help_text=TIMES)
    ends_at = serializers.DateTimeField(help_text=TIMES)
    bid_kind = serializers.ChoiceField(BidKind.choices, help_text="what is paid for")
    bid_micros = bid_field("the most that is paid for a thousand impressions, a click or a conversion", least=1)
    budget_micros = budget_field()
    daily_budget_micros = budget_field(required=False, allow_null=True)
    pacing = serializers.ChoiceField(PacingKind.choices, required=False)
    goal_kind = serializers.ChoiceField(GoalKind.choices, required=False, help_text="needs pacing pid or adaptive")
    goal = serializers.IntegerField(required=False, allow_null=True, min_value=1, max_value=10**12)
    targeting = ObjectField(
        required=False,
        help_text="{include, exclude: {segments, audiences, keywords, categories, countries, regions, languages, "
        "devices, placements: [...]}, attributes: {name: [...]}, hours: [{days: [0-6], from, to}]}; all parts are "
        "optional, and audiences are named by their keys",
    )
    conversion_event = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=64,
        help_text="event of the log that is a conversion, such as sign_up; empty: a purchase",
    )
    cap_impressions = serializers.IntegerField(
        required=False, allow_null=True, min_value=1, max_value=1000, help_text="of one subject in cap_hours"
    )
    cap_hours = serializers.IntegerField(required=False, min_value=1, max_value=720)
    recency_seconds = serializers.IntegerField(
        required=False, min_value=0, max_value=30 * 86400, help_text="least time between two of one subject"
    )
    post_click_days = serializers.IntegerField(required=False, min_value=1, max_value=30)
    post_view_hours = serializers.IntegerField(required=False, min_value=0, max_value=168)


class FlightBodySerializer(FlightFieldsSerializer):
    campaign_id = serializers.UUIDField()


class FlightSerializer(AnswerSerializer):
    campaign_id = serializers.UUIDField(read_only=True)
    status = serializers.ChoiceField(FlightStatus.choices, read_only=True)
    targeting = ObjectField(read_only=True)

    class Meta:
        model = Flight
        fields = ("id", "campaign_id", "status", *FIELDS[Flight], *COMMON)
        read_only_fields = fields


# Creatives -----------------------------------------------------------------------------------------------------------
class CreativeFieldsSerializer(NamedSerializer):
    width = side_field()
    height = side_field()
    text = serializers.CharField(required=False, allow_blank=True, max_length=1000)
    image_url = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_URL, help_text="https")
    click_url = serializers.CharField(max_length=LONGEST_URL, help_text="https; where clicks are redirected to")
    quality = serializers.FloatField(required=False, min_value=0.1, max_value=10, help_text="multiplies its score")


class CreativeBodySerializer(CreativeFieldsSerializer):
    flight_id = serializers.UUIDField()


class CreativeSerializer(AnswerSerializer):
    flight_id = serializers.UUIDField(read_only=True)
    review = serializers.ChoiceField(ReviewStatus.choices, read_only=True)

    class Meta:
        model = Creative
        fields = ("id", "flight_id", "review", "review_note", *FIELDS[Creative], *COMMON)
        read_only_fields = fields


class ApprovalBodySerializer(StrictSerializer):
    version = serializers.IntegerField(min_value=1, help_text="of the creative that was looked at")


class RejectionBodySerializer(ApprovalBodySerializer):
    note = serializers.CharField(max_length=500, help_text="for the advertiser")


# Placements ----------------------------------------------------------------------------------------------------------
class PlacementFieldsSerializer(NamedSerializer):
    width = side_field()
    height = side_field()
    floor_micros = bid_field("the least value of a thousand impressions", least=0, required=False)
    auction = serializers.ChoiceField(AuctionKind.choices, required=False)


class PlacementBodySerializer(PlacementFieldsSerializer):
    key = serializers.SlugField(max_length=50, help_text="what decisions name it by; never changes")
    currency = serializers.RegexField(**CURRENCY)  # type: ignore[arg-type]


class PlacementSerializer(AnswerSerializer):
    class Meta:
        model = Placement
        fields = ("id", "key", "currency", *FIELDS[Placement], *COMMON)
        read_only_fields = fields


# History and lists ---------------------------------------------------------------------------------------------------
class AdDifferenceSerializer(serializers.Serializer):
    name = serializers.CharField(help_text="of the field")
    before = serializers.JSONField()
    after = serializers.JSONField()


class AdChangeSerializer(serializers.ModelSerializer):
    action = serializers.ChoiceField(AdChange.Action.choices, read_only=True)
    differences = serializers.SerializerMethodField(help_text="each field that was changed")

    class Meta:
        model = AdChange
        fields = ("version", "action", "actor", "created_at", "differences")
        read_only_fields = fields

    @extend_schema_field(AdDifferenceSerializer(many=True))
    def get_differences(self, found: AdChange) -> Any:
        return differences(found)


class CampaignListParameters(ListParameters):
    advertiser_id = serializers.UUIDField(required=False)


class FlightListParameters(ListParameters):
    campaign_id = serializers.UUIDField(required=False)
    status = serializers.ChoiceField(FlightStatus.choices, required=False)


class CreativeListParameters(ListParameters):
    flight_id = serializers.UUIDField(required=False)
    review = serializers.ChoiceField(ReviewStatus.choices, required=False)
