"""GET and PATCH /api/v1/ads/settings: how ads decide."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from api.serializers import StrictSerializer
from apps.ads.settings import MOST_ADDRESSES, RANGES, change_settings, current_settings

TAGS = ["ads"]


def bounds(name: str) -> dict[str, Any]:
    least, most = RANGES[name]
    return {"min_value": least, "max_value": most}


class AdSettingsSerializer(StrictSerializer):
    noun = "setting"

    timezone = serializers.CharField(max_length=100, help_text="of days and hours, such as Europe/Berlin")
    impression_minutes = serializers.IntegerField(
        **bounds("impression_minutes"), help_text="in which an ad that was placed must be seen"
    )
    click_minutes = serializers.IntegerField(**bounds("click_minutes"), help_text="in which it may be clicked then")
    prior_click_rate = serializers.FloatField(
        **bounds("prior_click_rate"), help_text="share of impressions that is clicked, until counts say more"
    )
    prior_conversion_rate = serializers.FloatField(
        **bounds("prior_conversion_rate"), help_text="share of clicks that converts, until counts say more"
    )
    prior_weight = serializers.IntegerField(
        **bounds("prior_weight"), help_text="observations that the two shares count as"
    )
    policy = serializers.ChoiceField(("greedy", "softmax"), help_text="softmax shows what scores less now and then")
    temperature = serializers.FloatField(**bounds("temperature"), help_text="of softmax; the higher, the more often")
    fastest_click_ms = serializers.IntegerField(
        **bounds("fastest_click_ms"), help_text="after the impression; sooner clicks count for nothing"
    )
    most_clicks_an_hour = serializers.IntegerField(
        **bounds("most_clicks_an_hour"), help_text="of one subject; more count for nothing"
    )
    own_addresses = serializers.ListField(
        child=serializers.CharField(max_length=50),
        max_length=MOST_ADDRESSES,
        help_text="networks of the business, such as 203.0.113.0/24, whose traffic counts for nothing",
    )
    four_eyes = serializers.BooleanField(help_text="nobody approves a creative that they had a hand in")


class AdSettingsView(IdempotentWrites):
    required_scopes = {"GET": "ads:read", "PATCH": "ads-settings:write"}

    @extend_schema(operation_id="get_ad_settings", tags=TAGS, summary="How ads decide", responses=AdSettingsSerializer)
    def get(self, request: Request) -> Response:
        return Response(current_settings().to_dict())

    @extend_schema(
        operation_id="change_ad_settings",
        tags=TAGS,
        summary="Change some settings; decisions follow within seconds",
        request=AdSettingsSerializer(partial=True),
        responses=AdSettingsSerializer,
        examples=[
            OpenApiExample("days of Berlin", {"timezone": "Europe/Berlin", "click_minutes": 120}, request_only=True)
        ],
    )
    def patch(self, request: Request) -> Response:
        body = AdSettingsSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        return Response(change_settings(body.validated_data, actor=actor_of(request)).to_dict())
