"""The inputs above the queue."""

from datetime import timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from apps.service.conversations.models import ConversationStatus
from apps.service.inbox.selectors import conversations_saying
from apps.service.replies.models import Reply
from console.rights import actor_name
from console.search import SearchField, SubjectField

SEARCHED = timedelta(days=92)
SHORTEST_WORDS, LONGEST_WORDS = 2, 200


class StatusField(SearchField):
    title = "Status"
    parameter_name = "status"
    kind = "select"
    options = tuple(ConversationStatus.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """What is closed shows only where it is asked for."""
        if not self.text() and not request.GET.get("subject") and not request.GET.get("words"):
            return queryset.exclude(status=ConversationStatus.CLOSED)
        return super().queryset(request, queryset)

    def condition(self, text: str) -> Q:
        return Q(status=text)


class WhoseField(SearchField):
    title = "Whose"
    parameter_name = "whose"
    kind = "select"
    options = (("mine", "Mine"), ("nobody", "Nobody's"))

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        self.agent = actor_name(request)
        return super().queryset(request, queryset)

    def condition(self, text: str) -> Q:
        return Q(assignee="" if text == "nobody" else self.agent)


class LanguageField(SearchField):
    title = "Language"
    parameter_name = "language"

    def condition(self, text: str) -> Q:
        return Q(language=text)


class ChannelField(SearchField):
    title = "Channel"
    parameter_name = "channel"

    def condition(self, text: str) -> Q:
        return Q(channel=text)


class IntentField(SearchField):
    title = "Intent"
    parameter_name = "intent"

    def condition(self, text: str) -> Q:
        return Q(Exists(Reply.objects.filter(conversation=OuterRef("pk"), intent=text)))


class ToneField(SearchField):
    title = "Tone"
    parameter_name = "tone"
    kind = "select"
    options = (("upset", "Upset"), ("urgent", "Urgent"))

    def condition(self, text: str) -> Q:
        """Of the message that was understood last; the queue has annotated it."""
        return Q(urgency="high") if text == "urgent" else Q(sentiment="negative")


class WordsField(SearchField):
    """Words that stand in one message of late, each by its beginning; of Chinese any piece."""

    title = "Words"
    parameter_name = "words"

    def condition(self, text: str) -> Q:
        if len(text) < SHORTEST_WORDS:
            raise ValueError(f"give {SHORTEST_WORDS} characters or more")
        return Q(id__in=conversations_saying(text[:LONGEST_WORDS], since=timezone.now() - SEARCHED))


class CustomerField(SubjectField):
    title = "Customer id"
    time = "opened_at"
