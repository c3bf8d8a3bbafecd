"""What a customer's words ask for beside an answer: a person, or a topic that is for persons alone."""

import re
from collections.abc import Sequence

from apps.service.replies.grounding.numerals import plain

_HUMAN = re.compile(
    r"\b(?:(?:speak|talk|chat|connect(?: me)?|transfer(?: me)?|put me through|escalate)(?: this)?(?: to| with)?|"
    r"want|need|get(?: me)?|give me|is there)\s+(?:me\s+to\s+)?(?:an?|the|your|some|any)?\s*"
    r"(?:real |live |actual |human |customer |support |service )*"
    r"(?:human|person|agent|representative|rep|manager|supervisor|someone|somebody|operator|staff)\b"
    r"|\b(?:real|live|human)\s+(?:agent|person|being|support|help)\b|\bnot? (?:a )?(?:ro)?bots?\b|\bhuman please\b",
    re.IGNORECASE,
)
_CHINESE_HUMAN = re.compile(
    r"转?人工(?!智能)|真人|(?:找|要|叫|联系|转接?)(?:个|你们)?(?:客服|经理|主管|负责人)|不要机器人|别用机器人"
)


def asks_for_human(text: str) -> bool:
    plain_text = plain(text)
    return bool(_HUMAN.search(plain_text) or _CHINESE_HUMAN.search(plain_text))


def blocked_topic(text: str, topics: Sequence[str]) -> str | None:
    """The first of the tenant's blocked topics, words or phrases, that the text speaks of."""
    lower = plain(text).lower()
    for topic in topics:
        wanted = plain(topic).strip().lower()
        if re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", lower) if wanted.isascii() else wanted in lower:
            return topic
    return None
