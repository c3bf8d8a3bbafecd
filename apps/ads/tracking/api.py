"""POST /api/v1/ads/impressions: what a client's own server saw happen to an ad."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.serializers import StrictSerializer
from apps.ads.tracking.models import EventKind
from apps.ads.tracking.public import LONGEST_AGENT
from apps.ads.tracking.services import UnknownDelivery, Visitor, record
from apps.ads.tracking.tokens import TOKEN_LENGTH, BadToken, read_token
from tenancy.scope import current_tenant_id


class AdEventBodySerializer(StrictSerializer):
    token = serializers.CharField(max_length=TOKEN_LENGTH, help_text="of the decision")
    event = serializers.ChoiceField(EventKind.choices, required=False, default=EventKind.IMPRESSION)
    user_agent = serializers.CharField(max_length=LONGEST_AGENT, help_text="of the reader's browser")
    address = serializers.IPAddressField(required=False, default="", help_text="of the reader")


class AdEventSerializer(serializers.Serializer):
    counted = serializers.BooleanField()
    filtered = serializers.CharField(
        allow_null=True,
        help_text="why not: replayed, expired, bot, no_user_agent, self, not_seen, too_fast or too_many",
    )
    billed_micros = serializers.IntegerField(help_text="0 where it is not what was bought")


class AdImpressionsView(APIView):
    required_scopes = {"POST": "ads:decide"}

    @extend_schema(
        operation_id="record_ad_event",
        tags=["ads"],
        summary="Say that an ad was seen, viewable or clicked",
        description="For clients that ask on behalf of their readers. Each kind counts once for a token; browsers use "
        "the addresses of the decision instead.",
        request=AdEventBodySerializer,
        responses=AdEventSerializer,
    )
    def post(self, request: Request) -> Response:
        body = AdEventBodySerializer.read(request.data)
        try:
            token = read_token(body["token"], tenant_id=current_tenant_id())
            outcome = record(token, EventKind(body["event"]), Visitor(body["user_agent"], body["address"]))
        except (BadToken, UnknownDelivery) as error:
            raise NotFound(str(error)) from error
        return Response(
            {
                "counted": outcome.filtered is None,
                "filtered": outcome.filtered,
                "billed_micros": outcome.billed_micros,
            }
        )
