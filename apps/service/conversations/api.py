"""Conversations with customers over the API."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound, Throttled
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from api.errors import Conflict, Unprocessable
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from apps.service.conversations import services
from apps.service.conversations.events import CustomerUnknown
from apps.service.conversations.models import Conversation, ConversationEvent, Message
from apps.service.conversations.selectors import (
    conversations,
    events_of,
    get_conversation,
    last_messages,
    messages_of,
)
from apps.service.conversations.serializers import (
    ConversationChangesSerializer,
    ConversationEventSerializer,
    ConversationFilterSerializer,
    ConversationSerializer,
    ConversationWithMessagesSerializer,
    MessageSerializer,
    NewConversationSerializer,
    NewMessageSerializer,
)
from tenancy.secrets import subject_key

READ, WRITE = "conversations:read", "conversations:write"
TAGS = ["conversations"]
MESSAGES_SHOWN = 50


@contextmanager
def conversation_refusals(conversation_id: UUID) -> Iterator[None]:
    try:
        yield
    except Conversation.DoesNotExist:
        raise NotFound(f"there is no conversation {conversation_id}") from None
    except (services.ConversationChanged, services.MessageConflict) as error:
        raise Conflict(str(error)) from error
    except services.TooManyMessages as error:
        raise Throttled(wait=error.wait, detail=f"{error}.") from error
    except CustomerUnknown as error:
        raise Unprocessable(str(error)) from error


class ConversationsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    parameters = ConversationFilterSerializer
    serializer_class = ConversationSerializer

    def get_queryset(self) -> QuerySet[Conversation]:
        asked = self.parameters.of(self.request)
        kinds = ("user_id", "anonymous_id")
        keys = [subject_key(kind, raw_id) for kind in kinds if (raw_id := asked.pop(kind, None))]
        return conversations(subject_key=keys[0] if keys else None, **asked)

    @extend_schema(
        operation_id="list_conversations",
        tags=TAGS,
        summary="A page of conversations, newest first",
        parameters=[ConversationFilterSerializer],
        responses=ConversationSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="open_conversation",
        tags=TAGS,
        summary="Open a conversation with a customer",
        request=NewConversationSerializer,
        responses={201: ConversationSerializer},
        examples=[
            OpenApiExample(
                "a chat", {"subject": {"user_id": "u-17"}, "channel": "web", "language": "en"}, request_only=True
            )
        ],
    )
    def post(self, request: Request) -> Response:
        opened = services.open_conversation(**NewConversationSerializer.read(request.data))
        return Response(ConversationSerializer(opened).data, status=201)


@extend_schema(tags=TAGS)
class ConversationView(IdempotentWrites):
    required_scopes = {"GET": READ, "PATCH": WRITE}

    @extend_schema(
        operation_id="get_conversation",
        summary="One conversation with its last messages",
        responses=ConversationWithMessagesSerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:
        with conversation_refusals(id):
            found = get_conversation(id)
        context = {"messages": last_messages(id, MESSAGES_SHOWN)}
        return Response(ConversationWithMessagesSerializer(found, context=context).data)

    @extend_schema(
        operation_id="change_conversation",
        summary="Assign a conversation, move it, or keep what the customer gave",
        description="`handed_off` leaves it to the agents. A conversation that has changed since `version` is refused "
        "with 409. `note` is kept with a change of status.",
        request=ConversationChangesSerializer,
        responses=ConversationSerializer,
        examples=[OpenApiExample("take it", {"version": 3, "assignee": "anna"}, request_only=True)],
    )
    def patch(self, request: Request, id: UUID) -> Response:
        asked = ConversationChangesSerializer.read(request.data)
        actor, version = actor_of(request), asked.get("version")
        # All of the changes, or none.
        with conversation_refusals(id), transaction.atomic():
            if "assignee" in asked:
                changed = services.assign(conversation_id=id, assignee=asked["assignee"], actor=actor, version=version)
                version = None  # seen, and its row is locked from here on
            if "status" in asked:
                changed = services.move(
                    conversation_id=id, to=asked["status"], actor=actor, version=version, note=asked.get("note", "")
                )
                version = None
            if "satisfaction" in asked:
                changed = services.rate(
                    conversation_id=id, satisfaction=asked["satisfaction"], actor=actor, version=version
                )
        return Response(ConversationSerializer(changed).data)


class MessagesView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    serializer_class = MessageSerializer
    queryset = Message.objects.none()
    page_ordering = "number"

    @extend_schema(
        operation_id="list_messages",
        tags=TAGS,
        summary="A page of a conversation's messages, oldest first",
        responses=MessageSerializer(many=True),
    )
    def get(self, request: Request, id: UUID) -> Response:
        with conversation_refusals(id):
            get_conversation(id)
        page = self.paginate_queryset(messages_of(id))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="add_message",
        tags=TAGS,
        summary="Add a message to a conversation",
        description="Stored once for each `id`: the same message again is answered with 200, another one under the "
        "same id with 409. Attachments are refused. A customer who writes more than CUSTOMER_MESSAGES_PER_MINUTE "
        "is refused with 429 and Retry-After.",
        request=NewMessageSerializer,
        responses={201: MessageSerializer, 200: OpenApiResponse(MessageSerializer, "It was stored before")},
        examples=[OpenApiExample("a question", {"id": "m-1", "text": "Where is my order A-1029?"}, request_only=True)],
    )
    def post(self, request: Request, id: UUID) -> Response:
        asked = NewMessageSerializer.read(request.data)
        with conversation_refusals(id):
            added = services.add_message(conversation_id=id, client_id=asked.pop("id"), **asked)
        return Response(MessageSerializer(added.message).data, status=201 if added.is_new else 200)


class ConversationEventsView(GenericAPIView):
    required_scopes = {"GET": READ}
    serializer_class = ConversationEventSerializer
    queryset = ConversationEvent.objects.none()

    @extend_schema(
        operation_id="list_conversation_events",
        tags=TAGS,
        summary="What was done with a conversation, newest first",
        responses=ConversationEventSerializer(many=True),
    )
    def get(self, request: Request, id: UUID) -> Response:
        with conversation_refusals(id):
            get_conversation(id)
        page = self.paginate_queryset(events_of(id))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)
