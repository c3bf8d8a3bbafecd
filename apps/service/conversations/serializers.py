"""Shapes of the conversations API."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.identities import SubjectIdField
from api.serializers import ListParameters, StrictSerializer
from api.subjects import SubjectIdsField
from apps.service.conversations.cleaning import LONGEST_TEXT
from apps.service.conversations.models import Conversation, ConversationEvent, ConversationStatus, Message, Role
from apps.service.knowledge.serializers import names_field
from behavior.parsing import Invalid, parse_text
from tenancy.secrets import public_subject_id

LANGUAGE = "^[a-z]{2,3}(-[A-Za-z0-9]{2,8})?$"
CHANNEL = "^[a-z][a-z0-9_-]{0,29}$"
LANGUAGE_ERRORS: dict[str, Any] = {"invalid": "must be a code of a language, such as en, zh or pt-BR"}
CHANNEL_ERRORS: dict[str, Any] = {"invalid": "must be a short name in small letters, such as web or mobile-app"}
SEGMENTS_HELP = "of the customer; sources for one of them may answer too"
# What clients call files that come with a message.
ATTACHMENTS = ("attachments", "attachment", "files", "file", "images", "image")


class ClientIdField(serializers.CharField):
    """The client's own id of something: what PostgreSQL can hold, 1 to 200 characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=200, trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        try:
            return parse_text(data)
        except Invalid as problem:
            raise serializers.ValidationError(problem.message, code=problem.code) from problem


class RawTextField(serializers.CharField):
    """A text as it came; `cleaning.clean_text` judges it, so that NUL and length have its own words."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, allow_blank=True, **options)
        self.validators = []

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("must be a text", code="wrong_type")
        return data


class NewConversationSerializer(StrictSerializer):
    subject = SubjectIdsField()
    channel = serializers.RegexField(
        CHANNEL, default="web", error_messages=CHANNEL_ERRORS, help_text="web, email, app, or any of your own"
    )
    language = serializers.RegexField(
        LANGUAGE, required=False, error_messages=LANGUAGE_ERRORS, help_text="of the customer, such as en or zh"
    )
    title = serializers.CharField(required=False, allow_blank=True, max_length=200)
    segments = names_field(SEGMENTS_HELP)


class NewMessageSerializer(StrictSerializer):
    id = ClientIdField(help_text="your id of the message; a repeated call with it stores nothing")
    role = serializers.ChoiceField(Role.choices, default=Role.CUSTOMER)
    text = RawTextField(help_text=f"1 to {LONGEST_TEXT:,} characters; HTML is turned into its words")
    author = serializers.CharField(required=False, allow_blank=True, max_length=200, help_text="the agent's name")

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict) and (name := next((each for each in ATTACHMENTS if data.get(each)), None)):
            message = "attachments are not taken; keep the file on your side and send its text, or a link to it in text"
            raise serializers.ValidationError({name: [serializers.ErrorDetail(message, "attachment")]})
        if isinstance(data, dict):
            data = {name: value for name, value in data.items() if name not in ATTACHMENTS}
        return super().to_internal_value(data)


class ReplyReasonSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="for programs")
    text = serializers.CharField()


class SummarySerializer(serializers.Serializer):
    """What an agent needs to take over."""

    wants = serializers.CharField(help_text="the customer's words, shortened")
    intent = serializers.CharField(allow_null=True)
    entities = serializers.ListField(child=serializers.JSONField())
    order = serializers.DictField(child=serializers.CharField(), help_text="what is known of the order in question")
    orders = serializers.ListField(child=serializers.CharField(), help_text="the customer's orders")
    missing = serializers.ListField(child=serializers.CharField(), help_text="slots without a value")
    language = serializers.CharField(allow_null=True)


class HandOffSerializer(serializers.Serializer):
    reasons = ReplyReasonSerializer(many=True)
    summary = SummarySerializer(required=False, allow_null=True)
    reply_id = serializers.UUIDField(required=False)


class ConversationSerializer(serializers.ModelSerializer):
    subject = serializers.SerializerMethodField(help_text="short form of the customer's keyed hash")
    hand_off = HandOffSerializer(allow_null=True, read_only=True)

    class Meta:
        model = Conversation
        fields = (
            *("id", "subject", "channel", "language", "source", "external_id", "title", "segments", "status"),
            *(
                "assignee",
                "hand_off",
                "satisfaction",
                "message_count",
                "version",
                "opened_at",
                "last_message_at",
                "waiting_since",
            ),
            *("first_response_at", "handed_off_at", "closed_at"),
        )
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.STR)
    def get_subject(self, conversation: Conversation) -> str:
        return public_subject_id(bytes(conversation.subject_key))


class MessageSerializer(serializers.ModelSerializer):
    conversation_id = serializers.UUIDField()

    class Meta:
        model = Message
        fields = ("id", "conversation_id", "number", "client_id", "role", "author", "text", "event_id", "created_at")


class ConversationWithMessagesSerializer(ConversationSerializer):
    messages = serializers.SerializerMethodField(help_text="the last 50, oldest first; GET .../messages has all")

    class Meta:
        model = Conversation
        fields = (*ConversationSerializer.Meta.fields, "messages")

    @extend_schema_field(MessageSerializer(many=True))
    def get_messages(self, conversation: Conversation) -> Any:
        return MessageSerializer(self.context["messages"], many=True).data


class ConversationEventSerializer(serializers.ModelSerializer):
    class Meta:
        model = ConversationEvent
        fields = ("id", "kind", "actor", "before", "after", "note", "created_at")


class ConversationFilterSerializer(ListParameters):
    status = serializers.ChoiceField(ConversationStatus.choices, required=False)
    channel = serializers.RegexField(CHANNEL, required=False, error_messages=CHANNEL_ERRORS)
    assignee = serializers.CharField(required=False, max_length=200)
    source = serializers.RegexField(  # type: ignore[assignment]
        CHANNEL, required=False, error_messages=CHANNEL_ERRORS, help_text="api, or the help desk that it came from"
    )
    waiting = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="whether a message of the customer waits"
    )
    user_id = SubjectIdField(required=False, help_text="of the customer; or anonymous_id")
    anonymous_id = SubjectIdField(required=False)


class ConversationChangesSerializer(StrictSerializer):
    """What can be changed; `version` is the one that was seen, and may be left out."""

    version = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    status = serializers.ChoiceField(ConversationStatus.choices, required=False)
    assignee = serializers.CharField(required=False, allow_blank=True, max_length=200)
    satisfaction = serializers.IntegerField(required=False, min_value=1, max_value=5)
    note = serializers.CharField(required=False, max_length=2_000, help_text="why, kept with the change of status")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if not attrs.keys() & {"status", "assignee", "satisfaction"}:
            raise serializers.ValidationError("name what shall change: status, assignee or satisfaction")
        if "note" in attrs and "status" not in attrs:
            raise serializers.ValidationError({"note": "is kept with a change of status; send status too, or no note"})
        return attrs
