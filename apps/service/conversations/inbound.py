"""Messages as help desks send them by webhook, and what they mean here: one small function for each desk."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apps.service.conversations.models import Role
from behavior.parsing import Invalid, parse_subject_id, parse_time


@dataclass(frozen=True)
class InboundMessage:
    """One message of a help desk. `conversation_id` and `message_id` are the desk's own; `customer_id` names the
    customer there. `is_of_another`: somebody else wrote it who is no agent, such as one who was copied in.
    `written_at` is None where the desk does not tell it."""

    conversation_id: str
    message_id: str
    customer_id: str
    role: str
    text: str
    channel: str
    author: str = ""
    title: str = ""
    is_of_another: bool = False
    written_at: datetime | None = None


class BadPayload(ValueError):
    """`field` is missing or cannot be used."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def read_inbound(desk: str, payload: Any) -> InboundMessage | None:
    """The message of a webhook's payload; None for an event that brings none, such as a note or a change of status.

    Raises KeyError for a desk that is not known, and BadPayload.
    """
    read = DESKS[desk]
    if not isinstance(payload, dict):
        raise BadPayload("", "must be a JSON object, as the desk sends it")
    return read(payload)


def _zendesk(payload: Mapping[str, Any]) -> InboundMessage | None:
    """Zendesk's event subscriptions, `zen:event-type:ticket.comment_added` and `ticket.created`."""
    kind = _text(payload, "type")
    if kind not in ("zen:event-type:ticket.comment_added", "zen:event-type:ticket.created"):
        return None
    ticket = _object(payload, "detail")
    comment = _object(_object(payload, "event"), "comment", "event.comment") if kind.endswith("added") else {}
    if comment and comment.get("is_public") is False:
        return None
    author = _object_or_empty(comment, "author")
    # A ticket that somebody else submits for the requester was opened by an agent.
    submitter, requester = ticket.get("submitter_id"), ticket.get("requester_id")
    is_of_another = "id" in author and str(author["id"]) != str(requester)
    is_agent = author.get("is_staff") is True or not (comment or submitter in (None, requester))
    return InboundMessage(
        conversation_id=_id(ticket, "id", "detail.id"),
        # A ticket's description is its first comment, and has no id of its own.
        message_id=_id(comment, "id", "event.comment.id") if comment else f"ticket-{_id(ticket, 'id', 'detail.id')}",
        customer_id=_customer(ticket, "requester_id", "detail.requester_id"),
        role=Role.AGENT if is_agent else Role.CUSTOMER,
        text=_text(comment, "body", "event.comment.body")
        if comment
        else _text(ticket, "description", "detail.description"),
        channel="email",
        author=str(author.get("name") or "")[:200] if is_agent or is_of_another else "",
        title=str(ticket.get("subject") or "")[:200],
        is_of_another=is_of_another and not is_agent,
        written_at=_time(payload, "time"),
    )


def _chatwoot(payload: Mapping[str, Any]) -> InboundMessage | None:
    """Chatwoot's event `message_created`."""
    if payload.get("event") != "message_created" or payload.get("private") is True:
        return None
    role = {"incoming": Role.CUSTOMER, 0: Role.CUSTOMER, "outgoing": Role.AGENT, 1: Role.AGENT}.get(
        payload.get("message_type")
    )
    if role is None:
        return None
    if payload.get("attachments"):
        raise BadPayload("attachments", "are not taken; only text is answered")
    sender = _object(payload, "sender")
    conversation = _object(payload, "conversation")
    meta = _object_or_empty(conversation, "meta")
    contact = sender if role == Role.CUSTOMER else meta.get("sender") or {}
    if role == Role.AGENT and sender.get("type") == "agent_bot":
        # Our own replies come back this way.
        return None
    return InboundMessage(
        conversation_id=_id(conversation, "id", "conversation.id"),
        message_id=_id(payload, "id", "id"),
        customer_id=_customer(contact, "id", "sender.id"),
        role=role,
        text=_text(payload, "content"),
        channel="web",
        author=str(sender.get("name") or "")[:200] if role == Role.AGENT else "",
    )


DESKS: dict[str, Callable[[Mapping[str, Any]], InboundMessage | None]] = {"zendesk": _zendesk, "chatwoot": _chatwoot}


def _object_or_empty(within: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = within.get(name)
    return value if isinstance(value, dict) else {}


def _object(payload: Mapping[str, Any], name: str, path: str = "") -> Mapping[str, Any]:
    value = payload.get(name)
    if not isinstance(value, dict):
        raise BadPayload(path or name, "must be an object, as the desk sends it")
    return value


def _text(payload: Mapping[str, Any], name: str, path: str = "") -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        raise BadPayload(path or name, "must be a text")
    return value


def _time(payload: Mapping[str, Any], name: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(parse_time(payload.get(name)) / 1_000_000, UTC)
    except Invalid:
        return None


def _id(payload: Mapping[str, Any], name: str, path: str) -> str:
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int) or not 1 <= len(str(value)) <= 150:
        raise BadPayload(path, "must be the desk's id, a number or a text")
    if "\0" in str(value):
        raise BadPayload(path, "contains a NUL character")
    return str(value)


def _customer(payload: Mapping[str, Any], name: str, path: str) -> str:
    try:
        return parse_subject_id(_id(payload, name, path))
    except Invalid as problem:
        raise BadPayload(path, problem.message) from None
