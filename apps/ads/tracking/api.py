"""POST /api/v1/ads/impressions: what a client's own server saw happen to an ad; and whose events count for nothing."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.idempotency import IdempotentWrites
from api.model_actions import actor_of, person_of
from api.serializers import StrictSerializer
from api.subjects import SubjectIdsField
from apps.ads.campaigns.api import READ, TAGS, WRITE, refusals
from apps.ads.campaigns.models import BUSINESS, AdChange, Advertiser
from apps.ads.campaigns.selectors import changes_of
from apps.ads.campaigns.serializers import AdChangeSerializer
from apps.ads.tracking.models import EventKind
from apps.ads.tracking.own import MOST_OWN_SUBJECTS, own_subjects, put_own_subjects
from apps.ads.tracking.public import LONGEST_AGENT
from apps.ads.tracking.services import UnknownDelivery, Visitor, record
from apps.ads.tracking.tokens import TOKEN_LENGTH, BadToken, read_token
from tenancy.scope import current_tenant_id

SEEN = {"token": "ad_1xAaIajXoudeq…", "event": "impression", "user_agent": "Mozilla/5.0 …", "address": "198.51.100.7"}


class AdEventBodySerializer(StrictSerializer):
    token = serializers.CharField(max_length=TOKEN_LENGTH, help_text="of the decision")
    event = serializers.ChoiceField(EventKind.choices, required=False, default=EventKind.IMPRESSION)
    user_agent = serializers.CharField(max_length=LONGEST_AGENT, help_text="of the reader's browser")
    address = serializers.IPAddressField(required=False, default="", help_text="of the reader")


class AdEventSerializer(serializers.Serializer):
    counted = serializers.BooleanField()
    filtered = serializers.CharField(
        allow_null=True,
        help_text="why not: replayed, expired, bot, no_user_agent, self_click, not_seen, too_fast or too_many; "
        "or unpaid: it counts and is not billed, since the flight's money was spent before",
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
        examples=[OpenApiExample("seen", SEEN, request_only=True)],
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
                "counted": outcome.is_counted,
                "filtered": outcome.filtered,
                "billed_micros": outcome.billed_micros,
            }
        )


class AdOwnPeopleBodySerializer(StrictSerializer):
    subjects = serializers.ListField(child=SubjectIdsField(), max_length=MOST_OWN_SUBJECTS, help_text="may be empty")


class AdOwnPeopleSerializer(serializers.Serializer):
    subjects = serializers.IntegerField(help_text="how many ids there are; no answer names them")


class OwnPeopleView(IdempotentWrites):
    """Base of the two lists of own people."""

    required_scopes = {"GET": READ, "PUT": WRITE}

    def count(self, advertiser_id: UUID | None) -> Response:
        return Response({"subjects": own_subjects(advertiser_id).count()})

    def replace(self, request: Request, advertiser_id: UUID | None) -> Response:
        body = AdOwnPeopleBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        known = put_own_subjects(
            advertiser_id=advertiser_id,
            subjects=body.validated_data["subjects"],
            actor=actor_of(request),
            person=person_of(request),
        )
        return Response({"subjects": known})


class AdOwnPeopleView(OwnPeopleView):
    @extend_schema(
        operation_id="get_ad_own_people",
        tags=TAGS,
        summary="How many people of the business count for nobody's ads",
        responses=AdOwnPeopleSerializer,
    )
    def get(self, request: Request) -> Response:
        return self.count(None)

    @extend_schema(
        operation_id="put_ad_own_people",
        tags=TAGS,
        summary="Name the people of the business, whose events count for nobody's ads",
        request=AdOwnPeopleBodySerializer,
        responses=AdOwnPeopleSerializer,
        examples=[OpenApiExample("one person", {"subjects": [{"user_id": "boss"}]}, request_only=True)],
    )
    def put(self, request: Request) -> Response:
        return self.replace(request, None)


class AdOwnPeopleChangesView(GenericAPIView):
    required_scopes = {"GET": READ}
    serializer_class = AdChangeSerializer
    page_ordering = "-version"

    def get_queryset(self) -> QuerySet[AdChange]:
        return changes_of(BUSINESS)

    @extend_schema(
        operation_id="list_ad_own_people_changes",
        tags=TAGS,
        summary="Who replaced the list of the business, newest first; no change names the people",
        responses=AdChangeSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


class AdvertiserOwnPeopleView(OwnPeopleView):
    @extend_schema(
        operation_id="get_ad_advertiser_own_people",
        tags=TAGS,
        summary="How many people of an advertiser count for none of its ads",
        responses=AdOwnPeopleSerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:
        with refusals(Advertiser, id):
            Advertiser.objects.only("id").get(id=id)
        return self.count(id)

    @extend_schema(
        operation_id="put_ad_advertiser_own_people",
        tags=TAGS,
        summary="Name the people of an advertiser, whose events count for none of its ads",
        request=AdOwnPeopleBodySerializer,
        responses=AdOwnPeopleSerializer,
        examples=[OpenApiExample("one person", {"subjects": [{"user_id": "boss"}]}, request_only=True)],
    )
    def put(self, request: Request, id: UUID) -> Response:
        with refusals(Advertiser, id):
            return self.replace(request, id)
