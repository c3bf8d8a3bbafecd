"""Reads of replies."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.service.replies.models import JUDGED, Reply
from decisions.counting import first_id_since


def replies(
    *, status: str | None = None, conversation_id: UUID | None = None, intent: str | None = None
) -> QuerySet[Reply]:
    """Those that meet everything given, newest first."""
    given: dict[str, Any] = {"status": status, "conversation_id": conversation_id, "intent": intent}
    found = Reply.objects.filter(**{name: value for name, value in given.items() if value is not None})
    return found.order_by("-id")


def get_reply(reply_id: UUID) -> Reply:
    """Raises Reply.DoesNotExist."""
    return Reply.objects.get(id=reply_id)


def replies_since(moment: datetime) -> int:
    """How many were made since."""
    return Reply.objects.filter(id__gte=first_id_since(moment), created_at__gte=moment).count()


def labels(*, most: int) -> QuerySet[Reply]:
    """The newest `most` replies that agents have judged: what selection, retrieval and thresholds learn from."""
    return Reply.objects.filter(status__in=JUDGED).order_by("-settled_at")[:most]
