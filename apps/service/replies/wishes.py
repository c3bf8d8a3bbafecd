"""What a customer's words ask for beside an answer: a person, or a topic that is for persons alone; and whether they
ask for anything."""

import re
from collections.abc import Sequence

from apps.service.replies.grounding.numerals import plain
from apps.service.replies.grounding.wording import words_of

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

# What is said beside a question and is none.
_COURTESY = re.compile(
    r"\b(?:good (?:morning|afternoon|evening|day)|morning|hey|hiya|greetings|(?:good)?bye|cheers|ok(?:ay)?|sorry|"
    r"excuse me|(?:(?:kind|best|warm) )?regards|(?:thanks|thank you)(?: (?:a lot|so much|very much|again|in advance))?|"
    r"(?:is )?any(?:one|body) (?:t?here)|are you there|i have a (?:quick |short )?question|i need (?:some )?help|"
    r"can (?:you|any(?:one|body)|some(?:one|body)) help(?: me)?|as soon as possible|asap|urgent(?:ly)?)\b",
    re.IGNORECASE,
)
_CHINESE_COURTESY = re.compile(
    r"(?:[你您]好|大家好|早上好|上午好|中午好|下午好|晚上好|早安|晚安|在吗|有人吗|请问(?:一下)?|麻烦[你您]?了?|"
    r"(?:多谢|谢谢|感谢)[你您]?了?|谢了|辛苦了|再见|拜拜|好的|不好意思|打扰(?:一下|了)?|尽快|快点|急)[啊呀哦呢吧]?"
)


def asks_for_human(text: str) -> bool:
    plain_text = plain(text)
    return bool(_HUMAN.search(plain_text) or _CHINESE_HUMAN.search(plain_text))


def is_courtesy(text: str) -> bool:
    """Whether a text says nothing beside greetings, thanks, haste and common words."""
    return not words_of(_CHINESE_COURTESY.sub(" ", _COURTESY.sub(" ", plain(text))))


def blocked_topic(text: str, topics: Sequence[str]) -> str | None:
    """The first of the tenant's blocked topics, words or phrases, that the text speaks of."""
    lower = plain(text).lower()
    for topic in topics:
        wanted = plain(topic).strip().lower()
        if re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", lower) if wanted.isascii() else wanted in lower:
            return topic
    return None
