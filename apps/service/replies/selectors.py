"""Reads of replies."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, Func, QuerySet

from apps.service.replies.models import JUDGED, Reply, ReplyStatus
from decisions.counting import first_id_since

# Codes of reasons that settings alone give or take; any other keeps a reply a draft whatever the threshold.
OF_SETTINGS = ("sending_off", "below_threshold", "intent_not_listed", "confident", "customer_event")


class _HasOtherReason(Func):
    function = "jsonb_path_exists"
    template = f"""%(function)s(%(expressions)s, '$[*].code ? (!(@ like_regex "^({"|".join(OF_SETTINGS)})$"))')"""
    output_field = BooleanField()


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


def sendable_since(moment: datetime) -> int:
    """How many were made since that settings could have sent."""
    made = Reply.objects.filter(id__gte=first_id_since(moment), created_at__gte=moment)
    unsettled = (ReplyStatus.UNDER_WAY, ReplyStatus.SUPERSEDED)
    return made.exclude(_HasOtherReason("reasons")).exclude(status__in=unsettled).count()


def labels(*, most: int) -> QuerySet[Reply]:
    """The newest `most` replies that settings could have sent and agents have judged: what thresholds rest on."""
    judged = Reply.objects.filter(status__in=JUDGED).exclude(_HasOtherReason("reasons"))
    return judged.order_by("-settled_at")[:most]
