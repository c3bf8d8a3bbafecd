"""Audiences under /api/v1/ads/audiences: their seed, and the builds that find who is like it."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Conflict
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of, person_of
from apps.ads.audiences.models import Audience, AudienceBuild
from apps.ads.audiences.selectors import builds_of
from apps.ads.audiences.serializers import (
    AudienceBodySerializer,
    AudienceBuildSerializer,
    AudienceFieldsSerializer,
    AudienceSeedBodySerializer,
    AudienceSeedSerializer,
    AudienceSerializer,
)
from apps.ads.audiences.services import BuildUnderWay, put_seed, request_build
from apps.ads.campaigns.api import READ, TAGS, WRITE, refusals, views_of

LIKE_BUYERS = {
    "key": "like-buyers",
    "name": "Like buyers",
    "seed_kind": "event",
    "seed_event": "purchase",
    "seed_days": 90,
    "share": 0.05,
    "refresh": "weekly",
}
VIEWS = views_of(
    Audience,
    body=AudienceBodySerializer,
    fields=AudienceFieldsSerializer,
    answer=AudienceSerializer,
    example=("like those who bought", LIKE_BUYERS),
)
LIST = {"subjects": [{"user_id": "u-17"}, {"anonymous_id": "a-981"}]}


class AdAudienceSeedView(IdempotentWrites):
    required_scopes = {"PUT": WRITE}

    @extend_schema(
        operation_id="put_ad_audience_seed",
        tags=TAGS,
        summary="Replace the list of subjects that an audience starts from",
        description="For an audience whose seed_kind is list. Subjects of whom nothing was ever received are counted "
        "and not kept. The next build reads the list.",
        request=AudienceSeedBodySerializer,
        responses=AudienceSeedSerializer,
        examples=[OpenApiExample("two subjects", LIST, request_only=True)],
    )
    def put(self, request: Request, id: UUID) -> Response:
        body = AudienceSeedBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        subjects = body.validated_data["subjects"]
        with refusals(Audience, id):
            known = put_seed(audience_id=id, subjects=subjects, actor=actor_of(request), person=person_of(request))
        named = {subject.key for subject in subjects}
        return Response({"known": known, "unknown": len(named) - known})


class AdAudienceBuildsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    serializer_class = AudienceBuildSerializer

    def get_queryset(self) -> QuerySet[AudienceBuild]:
        return builds_of(self.kwargs["id"])

    @extend_schema(
        operation_id="list_ad_audience_builds",
        tags=TAGS,
        summary="How an audience's members were found, newest first",
        responses=AudienceBuildSerializer(many=True),
    )
    def get(self, request: Request, id: UUID) -> Response:
        with refusals(Audience, id):
            Audience.objects.only("id").get(id=id)
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="build_ad_audience",
        tags=TAGS,
        summary="Find an audience's members anew",
        description="A worker does it; the members of the last build stay until it has succeeded. Needs a live model "
        "of the line next-item, and a seed of 20 subjects with a history.",
        request=None,
        responses={202: AudienceBuildSerializer},
    )
    def post(self, request: Request, id: UUID) -> Response:
        try:
            with refusals(Audience, id):
                made = request_build(audience_id=id, actor=actor_of(request))
        except BuildUnderWay as error:
            raise Conflict(str(error)) from error
        return Response(self.get_serializer(made).data, status=202)
