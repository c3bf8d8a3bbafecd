"""Replies over the API: asked for, read, judged by agents."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.authentication import caller_of
from api.errors import Conflict, Unprocessable
from api.idempotency import HEADER, IdempotentWrites
from api.model_actions import actor_of
from apps.service.conversations.api import READ, WRITE, conversation_refusals
from apps.service.conversations.events import CustomerUnknown
from apps.service.conversations.models import Role
from apps.service.replies import judging
from apps.service.replies.asking import Asked
from apps.service.replies.jobs import settled_in_time
from apps.service.replies.making import Made
from apps.service.replies.models import Reply, ReplyAction, ReplyStatus
from apps.service.replies.selectors import get_reply, replies
from apps.service.replies.serializers import (
    AskReplySerializer,
    JudgementSerializer,
    ReplyAnswerSerializer,
    ReplyFilterSerializer,
    ReplySerializer,
    answer_of,
)
from apps.service.replies.server_sent import EventStreamRenderer, event_stream, stream_of_answer
from apps.service.replies.services import STATUS_OF, NothingToAnswer, Outcome, answer_once, reply_to

TAGS = ["replies"]
STREAM = (
    "With `Accept: text/event-stream` the answer is a stream of server-sent events: `understood`, `evidence`, a "
    "`text` for each sentence that its source backs, perhaps `reset` where another model begins anew, and `done` with "
    "the whole reply, or `superseded`. Show a customer nothing before `done` says `send`. A stream takes no "
    "Idempotency-Key. Where too many are open, it is refused with 429 or 503 and nothing is stored: ask without one."
)
ANSWER = {
    "id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11",
    "decision_id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b12",
    "conversation_id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b13",
    "message_id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b14",
    "status": "waiting",
    "intent": "order_status",
    "confidence": 0.82,
    "action": "draft",
    "reply": "Your order A-1029 is shipped.",
    "citations": [
        {
            "source": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b15",
            "version": 3,
            "kind": "macro",
            "title": "Where is my order?",
            "quote": "Your order {{order.id}} is {{order.status}}.",
            "sentences": [1],
        }
    ],
    "suggestions": [],
    "reasons": [{"code": "sending_off", "text": "no threshold is set from which replies are sent"}],
    "summary": None,
    "backend": "selection",
    "model_version": None,
    "degraded": None,
}


@contextmanager
def reply_refusals(reply_id: UUID) -> Iterator[None]:
    try:
        yield
    except Reply.DoesNotExist:
        raise NotFound(f"there is no reply {reply_id}") from None
    except (judging.AlreadyJudged, judging.SourceWithdrawn) as error:
        raise Conflict(str(error)) from error
    except CustomerUnknown as error:
        raise Unprocessable(str(error)) from error


class RepliesView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    parameters = ReplyFilterSerializer
    renderer_classes = (JSONRenderer, EventStreamRenderer)
    serializer_class = ReplySerializer

    def get_queryset(self) -> QuerySet[Reply]:
        return replies(**self.parameters.of(self.request))

    @extend_schema(
        operation_id="list_replies",
        tags=TAGS,
        summary="A page of replies, newest first",
        parameters=[ReplyFilterSerializer],
        responses=ReplySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="ask_reply",
        tags=TAGS,
        summary="A reply to what the customer wrote last",
        description="Each message of a customer has one reply, however often it is asked for; several messages in a "
        "row have one reply together. A reply that is to be sent is a message of the conversation already. Where a "
        "language model writes, the answer is 202 and GET replies/{id} has the reply in a moment. " + STREAM,
        request=AskReplySerializer,
        responses={
            201: ReplyAnswerSerializer,
            200: OpenApiResponse(ReplyAnswerSerializer, "The message had this reply already"),
            202: OpenApiResponse(ReplyAnswerSerializer, "A language model is writing; `reply` stands in meanwhile"),
            (201, EventStreamRenderer.media_type): OpenApiTypes.STR,
        },
        examples=[
            OpenApiExample(
                "of a conversation", {"conversation_id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b13"}, request_only=True
            ),
            OpenApiExample("its reply", ANSWER, response_only=True, status_codes=["201"]),
        ],
    )
    def post(self, request: Request) -> HttpResponseBase:
        asked = AskReplySerializer.read(request.data)
        is_streamed = request.accepted_renderer.media_type == EventStreamRenderer.media_type
        if is_streamed and HEADER in request.headers:
            raise ValidationError({HEADER: "a stream is not kept, so leave it out; a message has one reply anyway"})
        if "messages" in asked:
            decision_id, made = answer_once(asked=_inline(asked))
            answer = _answer_of_made(decision_id, made)
            return stream_of_answer(answer) if is_streamed else Response(answer, status=201)
        conversation_id = asked["conversation_id"]
        try:
            with conversation_refusals(conversation_id):
                outcome = reply_to(conversation_id=conversation_id)
        except NothingToAnswer as error:
            raise Unprocessable(str(error)) from error
        if is_streamed:
            return event_stream(caller_of(request).tenant_id, outcome.reply)
        return Response(answer_of(outcome.reply), status=_status_of(outcome))


class ReplyView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="get_reply",
        tags=TAGS,
        summary="One reply",
        description="One that no worker has finished in time is answered from what needs no model.",
        responses=ReplySerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:
        with reply_refusals(id):
            return Response(ReplySerializer(settled_in_time(id)).data)


class ReplyStreamView(APIView):
    required_scopes = {"GET": READ}
    renderer_classes = (EventStreamRenderer, JSONRenderer)

    @extend_schema(
        operation_id="follow_reply",
        tags=TAGS,
        summary="Follow a reply while it is written",
        description=STREAM,
        responses={(200, EventStreamRenderer.media_type): OpenApiTypes.STR},
    )
    def get(self, request: Request, id: UUID) -> HttpResponseBase:
        with reply_refusals(id):
            return event_stream(caller_of(request).tenant_id, get_reply(id))


class JudgementView(IdempotentWrites):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="judge_reply",
        tags=TAGS,
        summary="Accept, edit or reject a draft",
        description="An accepted or edited draft is sent as the agent's message. Each judgement is a label that "
        "selection, retrieval and the threshold for sending learn from. A desk with one key for many agents names the "
        "agent as `author`. A draft that somebody else has judged, or that "
        "a newer message superseded, is refused with 409; so is accepting one whose source was retired or changed.",
        request=JudgementSerializer,
        responses=ReplySerializer,
        examples=[
            OpenApiExample(
                "edit", {"judgement": "edit", "text": "It comes on Monday.", "author": "Anna"}, request_only=True
            )
        ],
    )
    def post(self, request: Request, id: UUID) -> Response:
        asked = JudgementSerializer.read(request.data)
        name = asked.get("author", "")
        actor = name or actor_of(request)
        with reply_refusals(id):
            if asked["judgement"] == "accept":
                judged = judging.accept_reply(reply_id=id, actor=actor, agent_name=name)
            elif asked["judgement"] == "edit":
                judged = judging.edit_reply(reply_id=id, text=asked["text"], actor=actor, agent_name=name)
            else:
                judged = judging.reject_reply(reply_id=id, actor=actor, note=asked.get("note", ""))
        return Response(ReplySerializer(judged).data)


def _status_of(outcome: Outcome) -> int:
    if outcome.reply.status == ReplyStatus.UNDER_WAY:
        return 202
    return 201 if outcome.is_new else 200


def _inline(asked: dict[str, Any]) -> Asked:
    newest_first = asked["messages"][::-1]
    subject = asked.get("subject")
    return Asked(
        texts=[message["text"] for message in newest_first if message["role"] == Role.CUSTOMER],
        waiting=sum(1 for _ in takewhile(lambda message: message["role"] == Role.CUSTOMER, newest_first)),
        keys=subject.keys if subject else (),
        language=asked.get("language"),
        segments=asked.get("segments", ()),
    )


def _answer_of_made(decision_id: UUID, made: Made) -> dict[str, Any]:
    """A reply that is stored as a decision alone."""
    understood = made.gathered.understood
    return {
        "id": None,
        "decision_id": str(decision_id),
        "conversation_id": None,
        "message_id": None,
        "status": str(STATUS_OF[ReplyAction(made.verdict.action)]),
        "intent": understood.intent,
        "confidence": made.confidence,
        "action": str(made.verdict.action),
        "reply": made.text,
        "citations": made.citations,
        "suggestions": made.suggestions,
        "reasons": made.verdict.reasons,
        "summary": made.summary,
        "backend": made.candidate.backend if made.candidate else "none",
        "model_version": None if understood.model_version is None else str(understood.model_version),
        "degraded": made.degraded,
    }
