"""What of a conversation and its sources a language model is told, so that rules, question and reply have room in a
window of 4,096 tokens, the least that servers give today, also where the reckoning is a third too low."""

from collections.abc import Sequence

from apps.service.replies.backends.base import CHARACTERS_OF_TOKEN, reckoned_tokens

TURN_TOKENS, SOURCE_TOKENS = 800, 1_600


def fit_turns(turns: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The newest (role, text) within TURN_TOKENS; of one that does not fit as a whole its end."""
    left, kept = TURN_TOKENS, []
    for role, text in reversed(turns):
        ending = _first_tokens(text[::-1], left)[::-1]
        if not ending:
            break
        kept.append((role, ending))
        left -= reckoned_tokens(ending)
    return kept[::-1]


def fit_sources(texts: Sequence[str]) -> list[str]:
    """Beginnings of the texts within SOURCE_TOKENS: short ones whole, and the long ones share what these leave."""
    left, fitted = SOURCE_TOKENS, [""] * len(texts)
    shortest_first = sorted(range(len(texts)), key=lambda at: reckoned_tokens(texts[at]))
    for done, at in enumerate(shortest_first):
        fitted[at] = _first_tokens(texts[at], left // (len(texts) - done))
        left -= reckoned_tokens(fitted[at])
    return fitted


def _first_tokens(text: str, most: int) -> str:
    left = most * CHARACTERS_OF_TOKEN
    for at, each in enumerate(text):
        left -= 1 if each.isascii() else CHARACTERS_OF_TOKEN
        if left < 0:
            return text[:at]
    return text
