"""Whether a reply is sent, waits for an agent as a draft, or the customer goes to an agent. A pure function."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.service.replies.models import ReplyAction
from apps.service.replies.settings import ServiceSettings

ANY_INTENT = "*"
WITH_AGENT = ("with_agent", "an agent has this conversation")
WITHDRAWN = ("source_withdrawn", "a source that it cites is retired or changed since it was read")


@dataclass(frozen=True)
class Case:
    """All that the decision rests on. `is_sendable_intent` says that the intent itself allows it, `alarms` are codes
    and words of what in the customer's message is for a person, `doubts` of what is not right with the text itself."""

    has_text: bool
    confidence: float
    intent: str | None
    is_sendable_intent: bool = False
    asks_for_human: bool = False
    blocked_topic: str | None = None
    alarms: Sequence[tuple[str, str]] = ()
    is_out_of_scope: bool = False
    is_with_agent: bool = False
    is_unhappy: bool = False
    doubts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Verdict:
    action: str
    reasons: list[dict[str, Any]] = field(default_factory=list)


def decide(case: Case, settings: ServiceSettings) -> Verdict:
    """Hand off for the customer's sake first; send only where nothing at all speaks against it."""
    hand_off = list(_why_hand_off(case, settings))
    if hand_off:
        return Verdict(ReplyAction.HAND_OFF, [{"code": code, "text": text} for code, text in hand_off])
    draft = list(_why_draft(case, settings))
    if draft:
        return Verdict(ReplyAction.DRAFT, [{"code": code, "text": text} for code, text in draft])
    text = f"the confidence of {case.confidence:.2f} is at least {settings.send_above:.2f}"
    return Verdict(ReplyAction.SEND, [{"code": "confident", "text": text}])


def not_sent(verdict: Verdict, why: tuple[str, str]) -> Verdict:
    """The verdict where something has come in between that speaks against sending."""
    if verdict.action != ReplyAction.SEND:
        return verdict
    code, text = why
    return Verdict(ReplyAction.DRAFT, [{"code": code, "text": text}])


def _why_hand_off(case: Case, settings: ServiceSettings) -> list[tuple[str, str]]:
    found = []
    if case.asks_for_human:
        found.append(("asked_for_human", "the customer asks for a person"))
    if case.blocked_topic is not None:
        found.append(("blocked_topic", f"'{case.blocked_topic}' is not talked about without a person"))
    found.extend(case.alarms)
    if case.is_out_of_scope:
        found.append(("out_of_scope", "the question is none that the intents know"))
    if not case.has_text:
        found.append(("no_evidence", "no article, macro or past reply answers this"))
    elif case.confidence < settings.draft_above:
        found.append(("low_confidence", f"the confidence of {case.confidence:.2f} is below {settings.draft_above:.2f}"))
    return found


def _why_draft(case: Case, settings: ServiceSettings) -> list[tuple[str, str]]:
    found = list(case.doubts)
    if case.is_with_agent:
        found.append(WITH_AGENT)
    if case.is_unhappy:
        found.append(("unhappy", "the customer sounds unhappy; an agent reads it first"))
    if settings.send_above is None:
        found.append(("sending_off", "no threshold is set from which replies are sent"))
    elif case.confidence < settings.send_above:
        words = f"the confidence of {case.confidence:.2f} is below {settings.send_above:.2f}"
        found.append(("below_threshold", words))
    if not (case.is_sendable_intent or {case.intent, ANY_INTENT} & set(settings.auto_send_intents)):
        found.append(("intent_not_listed", f"the intent {case.intent or 'unknown'} is not answered without an agent"))
    return found
