"""Shapes of the replies API."""

from typing import Any

from rest_framework import serializers

from api.serializers import ListParameters, StrictSerializer
from api.subjects import SubjectField
from apps.service.conversations.cleaning import LONGEST_TEXT, clean_text
from apps.service.conversations.models import Role
from apps.service.conversations.serializers import (
    LANGUAGE,
    LANGUAGE_ERRORS,
    SEGMENTS_HELP,
    RawTextField,
    ReplyReasonSerializer,
    SummarySerializer,
)
from apps.service.knowledge.searching import STAGES
from apps.service.knowledge.serializers import names_field
from apps.service.replies.judging import LONGEST_NOTE
from apps.service.replies.models import BackendKind, Reply, ReplyAction, ReplyBackend, ReplyStatus
from apps.service.replies.settings import MOST_COST, MOST_LABELS
from behavior.parsing import Invalid
from serving.schedules import RETRAIN

MOST_INLINE = 50
JUDGEMENTS = ("accept", "edit", "reject")


class InlineMessageSerializer(StrictSerializer):
    role = serializers.ChoiceField(Role.choices, default=Role.CUSTOMER)
    text = RawTextField(help_text=f"1 to {LONGEST_TEXT:,} characters; HTML is turned into its words")

    def validate_text(self, raw: str) -> str:
        try:
            return clean_text(raw)
        except Invalid as problem:
            raise serializers.ValidationError(problem.message, code=problem.code) from problem


class AskReplySerializer(StrictSerializer):
    """`conversation_id`, or `messages` of a conversation that is kept elsewhere; the newest message comes last."""

    conversation_id = serializers.UUIDField(required=False)
    messages = InlineMessageSerializer(many=True, required=False, allow_empty=False)
    subject = SubjectField(required=False)
    language = serializers.RegexField(LANGUAGE, required=False, error_messages=LANGUAGE_ERRORS)
    segments = names_field(SEGMENTS_HELP)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("conversation_id" in attrs) == ("messages" in attrs):
            raise serializers.ValidationError("send conversation_id or messages, one of the two", code="one_of")
        if "conversation_id" in attrs and (extra := attrs.keys() - {"conversation_id"}):
            raise serializers.ValidationError(dict.fromkeys(extra, "belongs to messages; leave it out here"))
        messages = attrs.get("messages", [])
        if len(messages) > MOST_INLINE:
            raise serializers.ValidationError({"messages": f"must be at most {MOST_INLINE}; send the last ones"})
        if messages and messages[-1]["role"] != Role.CUSTOMER:
            raise serializers.ValidationError({"messages": "the last one must be the customer's; nothing else waits"})
        return attrs


class CitationSerializer(serializers.Serializer):
    source = serializers.CharField()  # type: ignore[assignment]
    version = serializers.IntegerField()
    kind = serializers.CharField(help_text="article, macro, reply, or order for the customer's own data")
    title = serializers.CharField(allow_blank=True)
    quote = serializers.CharField(allow_blank=True)
    sentences = serializers.ListField(
        child=serializers.IntegerField(), help_text="which sentences of the reply rest on it, from 1"
    )


class SuggestionSerializer(serializers.Serializer):
    source = serializers.CharField(allow_null=True)  # type: ignore[assignment]
    title = serializers.CharField(allow_blank=True)
    backend = serializers.CharField(help_text="what wrote it")
    text = serializers.CharField()
    score = serializers.FloatField()
    missing = serializers.ListField(child=serializers.CharField(), help_text="slots without a value")


class ReplyAnswerSerializer(serializers.Serializer):
    id = serializers.UUIDField(allow_null=True, help_text="null for messages that are kept elsewhere")
    decision_id = serializers.UUIDField()
    conversation_id = serializers.UUIDField(allow_null=True)
    message_id = serializers.UUIDField(allow_null=True, help_text="of the customer's message that it answers")
    status = serializers.ChoiceField(ReplyStatus.choices)
    intent = serializers.CharField(allow_null=True)
    confidence = serializers.FloatField(min_value=0, max_value=1)
    action = serializers.ChoiceField(ReplyAction.choices)
    reply = serializers.CharField(allow_blank=True, help_text="empty where the customer is handed off")
    citations = CitationSerializer(many=True)
    suggestions = SuggestionSerializer(many=True, help_text="other replies that an agent may prefer")
    reasons = ReplyReasonSerializer(many=True, help_text="why it is sent, kept as a draft or handed off")
    summary = SummarySerializer(allow_null=True, help_text="of what is handed off")
    backend = serializers.CharField(help_text="selection, extractive, or the backend that generated it")
    model_version = serializers.UUIDField(allow_null=True)
    degraded = serializers.CharField(allow_null=True, help_text="what stood in for a model that did not answer")


class ReplySerializer(ReplyAnswerSerializer):
    """A reply with what an agent made of it."""

    final_text = serializers.CharField(allow_blank=True, help_text="what was sent after the agent's look")
    edit_distance = serializers.FloatField(allow_null=True, help_text="share of the draft that was changed, 0 to 1")
    judged_by = serializers.CharField(allow_blank=True)
    note = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, reply: Reply) -> dict[str, Any]:
        return {
            **answer_of(reply),
            "final_text": reply.final_text,
            "edit_distance": reply.edit_distance,
            "judged_by": reply.judged_by,
            "note": reply.note,
            "created_at": serializers.DateTimeField().to_representation(reply.created_at),
            "settled_at": serializers.DateTimeField().to_representation(reply.settled_at) if reply.settled_at else None,
        }


def answer_of(reply: Reply) -> dict[str, Any]:
    """What the client hears of a reply."""
    return {
        "id": str(reply.id),
        "decision_id": str(reply.decision_id),
        "conversation_id": str(reply.conversation_id),
        "message_id": str(reply.message_id),
        "status": str(reply.status),
        "intent": reply.intent,
        "confidence": reply.confidence,
        "action": str(reply.action),
        "reply": reply.text,
        "citations": reply.citations,
        "suggestions": reply.suggestions,
        "reasons": reply.reasons,
        "summary": reply.summary,
        "backend": reply.backend,
        "model_version": None if reply.model_version is None else str(reply.model_version),
        "degraded": reply.degraded,
    }


class ReplyFilterSerializer(ListParameters):
    status = serializers.ChoiceField(ReplyStatus.choices, required=False)
    conversation_id = serializers.UUIDField(required=False)
    intent = serializers.CharField(required=False, max_length=200)


class JudgementSerializer(StrictSerializer):
    judgement = serializers.ChoiceField(JUDGEMENTS, help_text="accept and edit send the reply, reject does not")
    text = RawTextField(required=False, help_text="what is sent instead; with edit alone")
    note = serializers.CharField(required=False, max_length=LONGEST_NOTE, help_text="why; with reject alone")
    author = serializers.CharField(
        required=False,
        max_length=200,
        help_text="the agent's name: who has judged, the message's author, and {{agent.name}}; without it the key's",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        judgement = attrs["judgement"]
        if (judgement == "edit") != ("text" in attrs):
            raise serializers.ValidationError({"text": "is needed for edit, and for edit alone"})
        if judgement != "reject" and "note" in attrs:
            raise serializers.ValidationError({"note": "is for reject alone"})
        return attrs


class ServiceSettingsSerializer(StrictSerializer):
    first_response_minutes = serializers.IntegerField(
        required=False, min_value=1, max_value=10_080, help_text="within which a message is to be answered"
    )
    send_above = serializers.FloatField(
        required=False, allow_null=True, min_value=0, max_value=1, help_text="confidence from which on; null: never"
    )
    draft_above = serializers.FloatField(
        required=False, min_value=0, max_value=1, help_text="below it the customer goes to an agent"
    )
    error_rate = serializers.FloatField(
        required=False, min_value=0, max_value=1, help_text="of sent replies, for which a threshold is suggested"
    )
    auto_send_intents = serializers.ListField(
        child=serializers.CharField(max_length=200),
        required=False,
        max_length=500,
        help_text="intents that may be answered without an agent, beside those with auto_send; * stands for all",
    )
    blocked_topics = serializers.ListField(
        child=serializers.CharField(max_length=200),
        required=False,
        max_length=500,
        help_text="words or phrases that always lead to an agent",
    )
    order_event_types = serializers.ListField(
        child=serializers.RegexField(
            "^[a-z][a-z0-9_.-]{0,63}$",
            error_messages={"invalid": "must be a type of event in small letters, such as order_placed"},
        ),
        required=False,
        max_length=500,
        help_text="events that say how orders stand",
    )
    stages = serializers.ListField(
        child=serializers.ChoiceField(STAGES),
        required=False,
        min_length=1,
        help_text="of the search for what replies rest on",
    )
    answers_inbound = serializers.BooleanField(
        required=False, help_text="answer what comes from help desks without being asked"
    )
    business_name = serializers.CharField(
        required=False, allow_blank=True, max_length=200, help_text="fills the slot business.name"
    )
    learn_past_replies = serializers.BooleanField(
        required=False, help_text="replies that agents accepted or edited join the knowledge"
    )
    retrain = serializers.ChoiceField(RETRAIN, required=False, help_text="how often a model is trained anew")
    retrain_least_labels = serializers.IntegerField(
        required=False, min_value=0, max_value=MOST_LABELS, help_text="new labels that a training waits for"
    )
    control_share = serializers.FloatField(
        required=False, min_value=0, max_value=1, help_text="of customers, for whom no model chooses the reply"
    )
    minutes_per_answer = serializers.FloatField(
        required=False, min_value=0, max_value=MOST_COST, help_text="of an agent, as reports reckon"
    )
    cost_agent_minute = serializers.FloatField(required=False, min_value=0, max_value=MOST_COST)
    cost_per_1000_tokens = serializers.FloatField(
        required=False, min_value=0, max_value=MOST_COST, help_text="of a language model"
    )
    currency = serializers.RegexField(
        "^[A-Z]{3}$",
        required=False,
        error_messages={"invalid": "must be a currency of ISO 4217, such as EUR"},
        help_text="of the costs",
    )


class CoveragePointSerializer(serializers.Serializer):
    threshold = serializers.FloatField()
    coverage = serializers.FloatField(help_text="share of drafts that would be sent")
    answers = serializers.IntegerField()
    errors = serializers.IntegerField(help_text="of these, not accepted as they were")  # type: ignore[assignment]
    risk = serializers.FloatField(help_text="share of these that were wrong")
    risk_bound = serializers.FloatField(help_text="below which the true share lies with 95 percent")


class ThresholdSerializer(serializers.Serializer):
    labels = serializers.IntegerField(help_text="drafts that agents judged")
    right = serializers.IntegerField(help_text="of them accepted as they were")
    needed = serializers.IntegerField(help_text="labels that it takes at least for this error rate")
    error_rate = serializers.FloatField()
    send_above = serializers.FloatField(allow_null=True)
    reason = serializers.CharField(allow_blank=True, help_text="why there is none")
    curve = CoveragePointSerializer(many=True)


class BackendSerializer(StrictSerializer):
    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(BackendKind.choices)
    base_url = serializers.CharField(required=False, allow_blank=True, max_length=500)
    model = serializers.CharField(required=False, allow_blank=True, max_length=200)
    key = serializers.CharField(required=False, allow_blank=True, max_length=500, write_only=True)
    has_key = serializers.SerializerMethodField()
    timeout_seconds = serializers.FloatField(required=False, min_value=1, max_value=120)
    is_active = serializers.BooleanField(required=False)

    def get_has_key(self, backend: ReplyBackend) -> bool:
        return backend.sealed_key is not None


class BackendsSerializer(StrictSerializer):
    backends = BackendSerializer(many=True)
