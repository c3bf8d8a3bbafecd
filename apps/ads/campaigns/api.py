"""Advertisers, campaigns, flights, creatives and placements: made, read, changed, archived, with their history."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Conflict
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of, person_of
from api.serializers import ListParameters, QueryParameters
from apps.ads.campaigns import serializers as shapes
from apps.ads.campaigns.models import (
    AdChange,
    AdObject,
    Advertiser,
    Campaign,
    Creative,
    Flight,
    FlightStatus,
    Placement,
)
from apps.ads.campaigns.selectors import changes_of, objects_of
from apps.ads.campaigns.services import Refused, archive, change, create, review, set_status

READ, WRITE, REVIEW = "ads:read", "ads:write", "ads-review:write"
TAGS = ["ads"]
PARENT = "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11"
FLIGHT = {
    "campaign_id": PARENT,
    "name": "Autumn, readers in Germany",
    "starts_at": "2030-10-01T00:00:00Z",
    "ends_at": "2030-11-01T00:00:00Z",
    "bid_kind": "cpc",
    "bid_micros": 450000,
    "budget_micros": 2000000000,
    "daily_budget_micros": 100000000,
    "pacing": "adaptive",
    "targeting": {"include": {"countries": ["DE"], "keywords": ["tent"]}, "exclude": {"categories": ["news"]}},
    "cap_impressions": 3,
    "cap_hours": 24,
}
CREATIVE = {
    "flight_id": PARENT,
    "name": "Tent on a hill",
    "width": 300,
    "height": 250,
    "text": "A tent that stands in a storm",
    "image_url": "https://images.example/tent.jpg",
    "click_url": "https://tents.example/storm",
}
PLACEMENT = {
    "key": "article-top",
    "name": "Above an article",
    "width": 300,
    "height": 250,
    "currency": "EUR",
    "floor_micros": 500000,
    "auction": "second_price",
}
ADVERTISER = {"name": "Tents & More", "currency": "EUR", "own_networks": ["203.0.113.0/24"]}
CAMPAIGN = {"name": "Autumn", "advertiser_id": PARENT}


@contextmanager
def refusals(model: type[AdObject], object_id: UUID) -> Iterator[None]:
    """404 for what is not there, 409 where it stands otherwise than the call supposes, such as archived."""
    try:
        yield
    except ObjectDoesNotExist:
        raise NotFound(f"there is no {model._meta.verbose_name} {object_id}") from None
    except Refused as error:
        raise Conflict(str(error)) from error


class ObjectsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    model: ClassVar[type[Any]]
    body: ClassVar[type[serializers.Serializer]]
    parameters: ClassVar[type[ListParameters]] = ListParameters

    def get_queryset(self) -> QuerySet[Any]:
        return objects_of(self.model, **self.parameters.of(self.request))

    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    def post(self, request: Request) -> Response:
        body = self.body(data=request.data)
        body.is_valid(raise_exception=True)
        made = create(self.model, actor=actor_of(request), person=person_of(request), **body.validated_data)
        return Response(self.get_serializer(made).data, status=201)


class ObjectView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}
    model: ClassVar[type[Any]]
    fields: ClassVar[type[serializers.Serializer]]
    pagination_class = None

    def get(self, request: Request, id: UUID) -> Response:
        with refusals(self.model, id):
            return Response(self.get_serializer(self.model.objects.get(id=id)).data)

    def patch(self, request: Request, id: UUID) -> Response:
        body = self.fields(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        changes = dict(body.validated_data)
        with refusals(self.model, id):
            changed = change(
                self.model,
                object_id=id,
                actor=actor_of(request),
                person=person_of(request),
                version=changes.pop("version", None),
                changes=changes,
            )
        return Response(self.get_serializer(changed).data)

    def delete(self, request: Request, id: UUID) -> Response:
        with refusals(self.model, id):
            archive(self.model, object_id=id, actor=actor_of(request))
        return Response(status=204)


class ChangesView(GenericAPIView):
    required_scopes = {"GET": READ}
    model: ClassVar[type[Any]]
    serializer_class = shapes.AdChangeSerializer
    page_ordering = "-version"

    def get_queryset(self) -> QuerySet[AdChange]:
        return changes_of(self.kwargs["id"])

    def get(self, request: Request, id: UUID) -> Response:
        with refusals(self.model, id):
            self.model.objects.only("id").get(id=id)
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


def views_of(
    model: type[AdObject],
    *,
    body: type[serializers.Serializer],
    fields: type[shapes.NamedSerializer],
    answer: type[serializers.Serializer],
    parameters: type[ListParameters] = ListParameters,
    example: tuple[str, dict[str, Any]],
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """The views of a list, of one and of its history, each described."""
    one, many = str(model._meta.verbose_name), str(model._meta.verbose_name_plural)
    own = {"model": model, "serializer_class": answer}
    changed = shapes.change_of(fields)
    listed: Any = extend_schema_view(
        get=extend_schema(
            operation_id=f"list_ad_{many}",
            tags=TAGS,
            summary=f"A page of {many}, newest first, without archived ones",
            parameters=[] if parameters is ListParameters else [parameters],
            responses=answer(many=True),
        ),
        post=extend_schema(
            operation_id=f"create_ad_{one}",
            tags=TAGS,
            summary=f"Make one of the {many}",
            request=body,
            responses={201: answer},
            examples=[OpenApiExample(*example, request_only=True)],
        ),
    )(type(f"Ad{one.title()}List", (ObjectsView,), own | {"body": body, "parameters": parameters}))
    single: Any = extend_schema_view(
        get=extend_schema(
            operation_id=f"get_ad_{one}", tags=TAGS, summary=f"One {one}, an archived one too", responses=answer
        ),
        patch=extend_schema(
            operation_id=f"change_ad_{one}",
            tags=TAGS,
            summary=f"Change some fields of a {one}; decisions follow within two seconds",
            request=changed(partial=True),
            responses=answer,
        ),
        delete=extend_schema(
            operation_id=f"archive_ad_{one}",
            tags=TAGS,
            summary=f"The {one} serves nothing any more; its history stays",
            request=None,
            responses={204: None},
        ),
    )(type(f"Ad{one.title()}", (ObjectView,), own | {"fields": changed}))
    history: Any = extend_schema_view(
        get=extend_schema(
            operation_id=f"list_ad_{one}_changes",
            tags=TAGS,
            summary=f"Who changed the {one}, newest first",
            responses=shapes.AdChangeSerializer(many=True),
        )
    )(type(f"Ad{one.title()}Changes", (ChangesView,), {"model": model}))
    return listed.as_view(), single.as_view(), history.as_view()


class FlightStateView(IdempotentWrites):
    """Base of the two calls that start and pause a flight."""

    required_scopes = {"POST": WRITE}
    status: ClassVar[FlightStatus]

    def put_in_state(self, request: Request, id: UUID) -> Response:
        QueryParameters.of(request)  # there are none
        with refusals(Flight, id):
            flight = set_status(flight_id=id, status=self.status, actor=actor_of(request))
        return Response(shapes.FlightSerializer(flight).data)


class StartFlightView(FlightStateView):
    status = FlightStatus.LIVE

    @extend_schema(
        operation_id="start_ad_flight",
        tags=TAGS,
        summary="Put a flight live, within its dates; one of its creatives must be approved",
        request=None,
        responses=shapes.FlightSerializer,
    )
    def post(self, request: Request, id: UUID) -> Response:
        return self.put_in_state(request, id)


class PauseFlightView(FlightStateView):
    status = FlightStatus.PAUSED

    @extend_schema(
        operation_id="pause_ad_flight",
        tags=TAGS,
        summary="Show nothing more of a flight until it is started again",
        request=None,
        responses=shapes.FlightSerializer,
    )
    def post(self, request: Request, id: UUID) -> Response:
        return self.put_in_state(request, id)


class CreativeReviewView(IdempotentWrites):
    """Base of the two calls that judge a creative."""

    required_scopes = {"POST": REVIEW}

    def judge(self, request: Request, id: UUID, *, approve: bool, **word: Any) -> Response:
        with refusals(Creative, id):
            creative = review(
                creative_id=id, approve=approve, actor=actor_of(request), person=person_of(request), **word
            )
        return Response(shapes.CreativeSerializer(creative).data)


class ApproveCreativeView(CreativeReviewView):
    @extend_schema(
        operation_id="approve_ad_creative",
        tags=TAGS,
        summary="Let a creative be shown as it is",
        description="One that has changed since `version` is refused with 409; so is one that the caller had a hand in "
        "where the setting `four_eyes` is on.",
        request=shapes.ApprovalBodySerializer,
        responses=shapes.CreativeSerializer,
        examples=[OpenApiExample("what was looked at", {"version": 1}, request_only=True)],
    )
    def post(self, request: Request, id: UUID) -> Response:
        return self.judge(request, id, approve=True, **shapes.ApprovalBodySerializer.read(request.data))


class RejectCreativeView(CreativeReviewView):
    @extend_schema(
        operation_id="reject_ad_creative",
        tags=TAGS,
        summary="Show a creative no more, and say why",
        request=shapes.RejectionBodySerializer,
        responses=shapes.CreativeSerializer,
        examples=[OpenApiExample("a promise", {"version": 1, "note": "'Best' needs proof"}, request_only=True)],
    )
    def post(self, request: Request, id: UUID) -> Response:
        return self.judge(request, id, approve=False, **shapes.RejectionBodySerializer.read(request.data))


VIEWS = {
    "advertisers": views_of(
        Advertiser,
        body=shapes.AdvertiserBodySerializer,
        fields=shapes.AdvertiserFieldsSerializer,
        answer=shapes.AdvertiserSerializer,
        example=("an advertiser", ADVERTISER),
    ),
    "campaigns": views_of(
        Campaign,
        body=shapes.CampaignBodySerializer,
        fields=shapes.CampaignFieldsSerializer,
        answer=shapes.CampaignSerializer,
        parameters=shapes.CampaignListParameters,
        example=("a campaign", CAMPAIGN),
    ),
    "flights": views_of(
        Flight,
        body=shapes.FlightBodySerializer,
        fields=shapes.FlightFieldsSerializer,
        answer=shapes.FlightSerializer,
        parameters=shapes.FlightListParameters,
        example=("a month in Germany", FLIGHT),
    ),
    "creatives": views_of(
        Creative,
        body=shapes.CreativeBodySerializer,
        fields=shapes.CreativeFieldsSerializer,
        answer=shapes.CreativeSerializer,
        parameters=shapes.CreativeListParameters,
        example=("a banner", CREATIVE),
    ),
    "placements": views_of(
        Placement,
        body=shapes.PlacementBodySerializer,
        fields=shapes.PlacementFieldsSerializer,
        answer=shapes.PlacementSerializer,
        example=("the top of an article", PLACEMENT),
    ),
}
