"""POST /api/v1/conversations/inbound/{desk}: what a help desk's webhook sends."""

from typing import Any

from celery import signature
from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import CONTENT_TYPE
from api.schema import ProblemSerializer
from apps.service.conversations import services
from apps.service.conversations.api import TAGS, WRITE, conversation_refusals
from apps.service.conversations.inbound import DESKS, BadPayload, InboundMessage, read_inbound
from apps.service.conversations.models import Conversation, ConversationStatus, Role
from apps.service.conversations.selectors import has_changed_hands, has_reply, was_said_here
from apps.service.conversations.serializers import MessageSerializer
from apps.service.replies.settings import current_settings
from tenancy.tasks import enqueue


class InboundAnswerSerializer(serializers.Serializer):
    result = serializers.ChoiceField(["stored", "duplicate", "ignored"], help_text="ignored: it brings no message")
    message = MessageSerializer(allow_null=True, help_text="as it is stored; null where it was ignored")


class InboundView(APIView):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="receive_inbound_message",
        tags=TAGS,
        summary="Take a message as a help desk's webhook sends it",
        description="`zendesk` (event subscriptions ticket.created and ticket.comment_added) and `chatwoot` "
        "(message_created). The desk's own ids make it idempotent: its conversation is opened once, each message is "
        "stored once, and has one reply. Customers are users named `{desk}:{the desk's id}`; a ticket whose "
        "customer changes goes on in a conversation of the new one; what the former one wrote before and comes later "
        "is handed off, and so is what somebody else writes who is no agent. Unless the setting `answers_inbound` is "
        "off, a worker replies; webhooks tell the desk. An agent's message that says what was said here lately is "
        "ignored: it is our own, which the desk gives back.",
        request=OpenApiTypes.OBJECT,
        responses={
            201: InboundAnswerSerializer,
            200: OpenApiResponse(InboundAnswerSerializer, "It was stored before, or brings no message"),
            (409, CONTENT_TYPE): OpenApiResponse(ProblemSerializer, "Another message is stored under this id"),
            (422, CONTENT_TYPE): OpenApiResponse(ProblemSerializer, "The customer of this conversation was erased"),
        },
    )
    def post(self, request: Request, desk: str) -> Response:
        if desk not in DESKS:
            raise NotFound(f"'{desk}' is no help desk that is known; known are {', '.join(sorted(DESKS))}")
        try:
            inbound = read_inbound(desk, request.data)
        except BadPayload as error:
            raise ValidationError({error.field or "non_field_errors": [error.message]}) from error
        if inbound is None:
            return Response({"result": "ignored", "message": None})
        added = _take(desk, inbound)
        if added is None:
            return Response({"result": "ignored", "message": None})
        body = {"result": "stored" if added.is_new else "duplicate", "message": MessageSerializer(added.message).data}
        return Response(body, status=201 if added.is_new else 200)


def _take(desk: str, inbound: InboundMessage) -> services.Added | None:
    """None for what was said here and comes back."""
    conversation = services.open_conversation(
        subject={"user_id": f"{desk}:{inbound.customer_id}"},
        channel=inbound.channel,
        title=inbound.title,
        source=desk,
        external_id=inbound.conversation_id,
    )
    if inbound.role == Role.AGENT and was_said_here(conversation.id, inbound.text):
        return None
    with conversation_refusals(conversation.id):
        added = services.add_message(
            conversation_id=conversation.id,
            role=inbound.role,
            text=inbound.text,
            client_id=inbound.message_id,
            author=inbound.author,
        )
        if added.is_new:
            _place(conversation, inbound)
    # A desk sends again what was stored and then failed: the task that was to answer it may be lost.
    waits = added.is_new or (conversation.waiting_since is not None and not has_reply(added.message.id))
    if waits and inbound.role == Role.CUSTOMER and current_settings().answers_inbound:
        task: Any = signature("service.answer_conversation", queue="default", countdown=settings.INBOUND_PAUSE)
        enqueue(task, conversation_id=str(conversation.id), message_id=str(added.message.id))
    return added


def _place(conversation: Conversation, inbound: InboundMessage) -> None:
    """Say whose turn it is after a new message; `conversation` is as it was before."""
    is_late = has_changed_hands(conversation, inbound.written_at)
    if not is_late:
        services.close_former(conversation)
    # A reply rests on the customer's data: whether another may read it is for an agent to say.
    if is_late and inbound.role == Role.CUSTOMER:
        note = "written before the help desk gave the ticket to another customer"
    elif inbound.is_of_another:
        note = f"{inbound.author or 'Somebody'}, who is not the customer, has written"
    else:
        return
    services.move(
        conversation_id=conversation.id, to=ConversationStatus.HANDED_OFF, actor=conversation.source, note=note
    )
