"""Articles, macros and past replies: made, changed, published, retired, brought back."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import PreconditionFailed
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from api.schema import ProblemSerializer
from apps.service.knowledge.models import Source, SourceKind, SourceStatus, SourceVersion
from apps.service.knowledge.selectors import similar_sources, sources, versions_of
from apps.service.knowledge.serializers import (
    SourceBodySerializer,
    SourceFieldsSerializer,
    SourceListParameters,
    SourceRestoreSerializer,
    SourceSerializer,
    SourceVersionSerializer,
    WrittenSourceSerializer,
)
from apps.service.knowledge.services import (
    VersionConflict,
    change_source,
    create_source,
    restore_source,
    set_status,
)

READ, WRITE = "knowledge:read", "knowledge:write"
TAGS = ["knowledge"]
# The last word of an address, and what it holds.
KINDS = {"articles": SourceKind.ARTICLE, "macros": SourceKind.MACRO, "replies": SourceKind.REPLY}
ARTICLE = {
    "title": "Sending things back",
    "body": "# Returns\n\nYou can return an item within 30 days. Refunds take five days.",
    "tags": ["returns"],
    "publish": True,
}
MACRO = {
    "title": "Refund is on its way",
    "body": "Hello {{customer.first_name}}, the refund of your order {{order.id}} is on its way.",
    "audience": "agents",
}
COLLECTION = OpenApiParameter("collection", OpenApiTypes.STR, OpenApiParameter.PATH, enum=list(KINDS))
IF_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "pattern": r'^(\*|"\d{1,9}")$'},
    OpenApiParameter.HEADER,
    description='the version that you have read, as in ETag: "3"; another one is refused with 412',
)
STALE = {412: OpenApiResponse(ProblemSerializer, description="The source has another version than If-Match names")}


@contextmanager
def source_refusals(collection: str, source_id: UUID) -> Iterator[None]:
    """404 for a source or version that is not there, 412 for another version than the caller has read."""
    try:
        yield
    except Source.DoesNotExist:
        raise NotFound(f"there is no {source_id} among the {collection}") from None
    except SourceVersion.DoesNotExist:
        raise NotFound(f"{source_id} has no such version; GET its versions") from None
    except VersionConflict as error:
        raise PreconditionFailed(str(error)) from error


def kind_of(collection: str) -> SourceKind:
    if collection not in KINDS:
        raise NotFound(f"knowledge has {', '.join(KINDS)}")
    return KINDS[collection]


def version_read(request: Request) -> int | None:
    """The version that If-Match names; None without one, and for '*'."""
    tag = request.headers.get("If-Match", "*").strip()
    if tag == "*":
        return None
    number = tag.removeprefix("W/").strip('"')
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        raise ValidationError({"If-Match": 'must be the version that you have read, such as "3"'})
    return int(number)


def _answer(source: Source, status: int = 200) -> Response:
    return Response(SourceSerializer(source).data, status=status, headers={"ETag": f'"{source.version}"'})


def _answer_written(source: Source, status: int = 200) -> Response:
    source.similar = similar_sources(source)  # type: ignore[attr-defined]
    return Response(WrittenSourceSerializer(source).data, status=status, headers={"ETag": f'"{source.version}"'})


@extend_schema(tags=TAGS, parameters=[COLLECTION])
class SourcesView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    parameters = SourceListParameters
    serializer_class = SourceSerializer
    queryset = Source.objects.none()

    def get_queryset(self) -> QuerySet[Source]:
        return sources(kind=kind_of(self.kwargs["collection"]), **self.parameters.of(self.request))

    @extend_schema(
        operation_id="list_knowledge_sources",
        summary="A page of articles, macros or past replies, newest first",
        parameters=[SourceListParameters],
        responses=SourceSerializer(many=True),
    )
    def get(self, request: Request, collection: str) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="create_knowledge_source",
        summary="Add an article, a macro or a past reply: a draft, or at once published",
        description="A published one is found by its words when the answer comes, and by its meaning some seconds "
        "later. `similar` names others that may say the same.",
        request=SourceBodySerializer,
        responses={201: WrittenSourceSerializer},
        examples=[
            OpenApiExample("an article", ARTICLE, request_only=True),
            OpenApiExample("a macro", MACRO, request_only=True),
        ],
    )
    def post(self, request: Request, collection: str) -> Response:
        kind = kind_of(collection)
        body = SourceBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return _answer_written(create_source(kind=kind, actor=actor_of(request), **body.validated_data), 201)


@extend_schema(tags=TAGS, parameters=[COLLECTION])
class SourceView(IdempotentWrites):
    required_scopes = {"GET": READ, "PATCH": WRITE, "DELETE": WRITE}

    @extend_schema(operation_id="get_knowledge_source", summary="One source", responses=SourceSerializer)
    def get(self, request: Request, collection: str, id: UUID) -> Response:
        kind = kind_of(collection)
        with source_refusals(collection, id):
            return _answer(Source.objects.get(id=id, kind=kind))

    @extend_schema(
        operation_id="change_knowledge_source",
        summary="Change some fields; a published source is found by its new text at once",
        parameters=[IF_MATCH],
        request=SourceFieldsSerializer(partial=True),
        responses={200: WrittenSourceSerializer, **STALE},
        examples=[OpenApiExample("another title", {"title": "Returns and exchanges"}, request_only=True)],
    )
    def patch(self, request: Request, collection: str, id: UUID) -> Response:
        kind = kind_of(collection)
        body = SourceFieldsSerializer(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        with source_refusals(collection, id):
            source = change_source(
                source_id=id,
                kind=kind,
                actor=actor_of(request),
                changes=body.validated_data,
                version=version_read(request),
            )
        return _answer_written(source)

    @extend_schema(
        operation_id="delete_knowledge_source",
        summary="Retire a source: it is never found again; its versions stay, since replies have cited them",
        parameters=[IF_MATCH],
        request=None,
        responses={204: None, **STALE},
    )
    def delete(self, request: Request, collection: str, id: UUID) -> Response:
        _put(request, collection, id, SourceStatus.RETIRED)
        return Response(status=204)


@extend_schema(tags=TAGS, parameters=[COLLECTION, IF_MATCH])
class PublishSourceView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="publish_knowledge_source",
        summary="Let a source be found while it is valid",
        request=None,
        responses={200: SourceSerializer, **STALE},
    )
    def post(self, request: Request, collection: str, id: UUID) -> Response:
        return _answer(_put(request, collection, id, SourceStatus.PUBLISHED))


@extend_schema(tags=TAGS, parameters=[COLLECTION, IF_MATCH])
class RetireSourceView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="retire_knowledge_source",
        summary="Let a source never be found again",
        request=None,
        responses={200: SourceSerializer, **STALE},
    )
    def post(self, request: Request, collection: str, id: UUID) -> Response:
        return _answer(_put(request, collection, id, SourceStatus.RETIRED))


@extend_schema(tags=TAGS, parameters=[COLLECTION, IF_MATCH])
class RestoreSourceView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="restore_knowledge_source",
        summary="Give a source the contents of an earlier version; a retired one comes back as a draft",
        request=SourceRestoreSerializer,
        responses={200: SourceSerializer, **STALE},
        examples=[OpenApiExample("as it was made", {"version": 1}, request_only=True)],
    )
    def post(self, request: Request, collection: str, id: UUID) -> Response:
        kind = kind_of(collection)
        body = SourceRestoreSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        with source_refusals(collection, id):
            source = restore_source(
                source_id=id,
                kind=kind,
                to=body.validated_data["version"],
                actor=actor_of(request),
                version=version_read(request),
            )
        return _answer(source)


@extend_schema(tags=TAGS, parameters=[COLLECTION])
class SourceVersionsView(GenericAPIView):
    required_scopes = {"GET": READ}
    serializer_class = SourceVersionSerializer
    page_ordering = "-version"
    queryset = SourceVersion.objects.none()

    @extend_schema(
        operation_id="list_knowledge_source_versions",
        summary="A source's versions, newest first: who changed it, when, and what it said",
        responses=SourceVersionSerializer(many=True),
    )
    def get(self, request: Request, collection: str, id: UUID) -> Response:
        kind = kind_of(collection)
        with source_refusals(collection, id):
            Source.objects.only("id").get(id=id, kind=kind)
        page = self.paginate_queryset(versions_of(id))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


def _put(request: Request, collection: str, source_id: UUID, status: SourceStatus) -> Source:
    kind = kind_of(collection)
    with source_refusals(collection, source_id):
        return set_status(
            source_id=source_id, kind=kind, status=status, actor=actor_of(request), version=version_read(request)
        )
