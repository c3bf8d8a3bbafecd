"""Lists of what the desk allows, denies and watches, and their entries."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Conflict
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from apps.risk.lists.models import EntityList, ListEntry
from apps.risk.lists.selectors import entity_lists
from apps.risk.lists.serializers import (
    AddedEntriesSerializer,
    EntityListBodySerializer,
    EntityListSerializer,
    ListEntriesBodySerializer,
    ListEntryParameters,
    ListEntrySerializer,
)
from apps.risk.lists.services import ListInUse, add_entries, create_list, remove_entry, remove_list, stored_value

READ, WRITE = "risk-rules:read", "risk-rules:write"
TAGS = ["risk lists"]
CARDS = {"name": "blocked cards", "kind": "deny", "field": "card"}
ENTRIES = {
    "entries": [
        {"value": "card-4711", "note": "reported stolen"},
        {"value": "card-0815", "expires_at": "2031-01-31T00:00:00Z"},
    ]
}


@contextmanager
def list_refusals(list_id: UUID) -> Iterator[None]:
    try:
        yield
    except EntityList.DoesNotExist:
        raise NotFound(f"there is no list {list_id}") from None
    except ListEntry.DoesNotExist:
        raise NotFound(f"the list {list_id} has no such entry") from None
    except ListInUse as error:
        raise Conflict(str(error)) from error


class EntityListsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    serializer_class = EntityListSerializer
    page_ordering = "name"

    def get_queryset(self) -> QuerySet[EntityList]:
        return entity_lists()

    @extend_schema(
        operation_id="list_risk_lists",
        tags=TAGS,
        summary="A page of lists, by name",
        responses=EntityListSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="create_risk_list",
        tags=TAGS,
        summary="Make an empty list",
        request=EntityListBodySerializer,
        responses={201: EntityListSerializer},
        examples=[OpenApiExample("blocked cards", CARDS, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = EntityListBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        made = create_list(actor=actor_of(request), **body.validated_data)
        return Response(EntityListSerializer(entity_lists().get(id=made.id)).data, status=201)


@extend_schema(tags=TAGS)
class EntityListView(IdempotentWrites):
    required_scopes = {"GET": READ, "DELETE": WRITE}

    @extend_schema(operation_id="get_risk_list", summary="One list", responses=EntityListSerializer)
    def get(self, request: Request, id: UUID) -> Response:
        with list_refusals(id):
            return Response(EntityListSerializer(entity_lists().get(id=id)).data)

    @extend_schema(
        operation_id="remove_risk_list",
        summary="Remove a list with its entries; one that a rule asks for stays (409)",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, id: UUID) -> Response:
        with list_refusals(id):
            remove_list(list_id=id, actor=actor_of(request))
        return Response(status=204)


@extend_schema(tags=TAGS)
class ListEntriesView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    parameters = ListEntryParameters
    serializer_class = ListEntrySerializer
    queryset = ListEntry.objects.none()

    @extend_schema(
        operation_id="list_risk_list_entries",
        summary="A page of a list's entries, newest first",
        description="What is personal is shown as its keyed hash; the raw id is not kept. `value` finds one entry by "
        "what clients name, so that it can be taken out by its id.",
        parameters=[ListEntryParameters],
        responses=ListEntrySerializer(many=True),
    )
    def get(self, request: Request, id: UUID) -> Response:
        asked = self.parameters.of(request)
        with list_refusals(id):
            found = EntityList.objects.get(id=id)
        entries = found.entries.all()
        if "value" in asked:
            entries = entries.filter(value=stored_value(found.field, asked["value"]))
        page = self.paginate_queryset(entries)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="add_risk_list_entries",
        summary="Add entries, up to 10,000 at once",
        description="A value that is in the list already gets the new note and expiry. Entries act within a second.",
        request=ListEntriesBodySerializer,
        responses=AddedEntriesSerializer,
        examples=[OpenApiExample("two cards", ENTRIES, request_only=True)],
    )
    def post(self, request: Request, id: UUID) -> Response:
        body = ListEntriesBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        entries = body.new_entries()
        with list_refusals(id):
            added = add_entries(list_id=id, entries=entries, actor=actor_of(request))
        updated = len({entry.value for entry in entries}) - added
        return Response(AddedEntriesSerializer({"added": added, "updated": updated}).data)


class ListEntryView(IdempotentWrites):
    required_scopes = {"DELETE": WRITE}

    @extend_schema(
        operation_id="remove_risk_list_entry",
        tags=TAGS,
        summary="Take an entry out of a list",
        request=None,
        responses={204: None},
    )
    def delete(self, request: Request, id: UUID, entry_id: UUID) -> Response:
        with list_refusals(id):
            remove_entry(list_id=id, entry_id=entry_id, actor=actor_of(request))
        return Response(status=204)
