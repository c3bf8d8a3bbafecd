"""Which items a text speaks of, by id or by title, and where."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from catalog.models import Item
from catalog.text_analysis import CJK, LONGEST_WORD, TOKEN, fold, pairs
from tenancy.scope import current_tenant_id

# Candidates by their words that are compared with the text, for each window of it.
CANDIDATES = 20
MATCHES_READ = 2_000
# A text is asked for in windows of so many words, and at most so many of them.
WINDOW_WORDS, MOST_WINDOWS = 16, 8
IDS_READ = 100
# From so many words, or characters of a script without spaces, half of a title is enough to know an item by.
LEAST_WORDS, LEAST_CHARACTERS = 2, 4
_ID = re.compile(r"[^\s,;!?()\"'“”‘’<>，。；！？（）、：【】]{3,200}")
_CHARACTER = re.compile(f"[{CJK}]")
CANDIDATES_OF_WINDOWS = """
    SELECT asked.place, item.item_id, item.title
    FROM unnest(%(words)s::text[], %(pairs)s::text[]) WITH ORDINALITY AS asked(words, pairs, place)
    CROSS JOIN LATERAL (
        SELECT id FROM catalog_match_words(
            websearch_to_tsquery('english', asked.words) || asked.pairs::tsquery, %(most)s)
        ORDER BY relevance DESC, id LIMIT %(candidates)s
    ) AS matched
    JOIN catalog_item AS item ON item.tenant_id = %(tenant)s AND item.id = matched.id AND NOT item.hidden
    WHERE item.title <> '' ORDER BY asked.place, item.item_id"""


@dataclass(frozen=True)
class Mention:
    """[start, end) are characters of the text. `share` is the part of the title that stands there; 1 for an id."""

    item_id: str
    title: str
    start: int
    end: int
    share: float


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int


def find_mentions(texts: Sequence[str]) -> list[list[Mention]]:
    """Of each text, in order of place and without overlaps; hidden items are left out. Two queries for all texts."""
    tokens = [list(_tokens(text)) for text in texts]
    found: list[list[Mention]] = [[] for _ in texts]
    ids = [dict(_id_candidates(text)) for text in texts]
    named = {candidate for each in ids for candidate in each}
    titles = (
        dict(Item.objects.filter(item_id__one_of=list(named), hidden=False).values_list("item_id", "title"))
        if named
        else {}
    )
    for number, candidates in enumerate(ids):
        found[number] += [
            Mention(item_id, titles[item_id], start, start + len(item_id), 1.0)
            for item_id, start in candidates.items()
            if item_id in titles
        ]
    for number, item_id, title in _title_candidates(tokens):
        mention = _locate(item_id, title, tokens[number])
        found[number] += [mention] if mention else []
    return [_best(mentions) for mentions in found]


def _id_candidates(text: str) -> Iterator[tuple[str, int]]:
    """What could be an id: with a digit, and not a short number, which would be any."""
    for count, found in enumerate(_ID.finditer(text)):
        if count == IDS_READ:
            return
        shown = found[0].rstrip(".:")
        if any(character.isdigit() for character in shown) and not (shown.isdecimal() and len(shown) < 5):
            yield shown, found.start()


def _tokens(text: str) -> Iterator[_Token]:
    """Words, and each character of a script without spaces, folded."""
    for found in TOKEN.finditer(text):
        if found[1]:
            for place, character in enumerate(found[1], start=found.start()):
                yield _Token(fold(character), place, place + 1)
        elif len(found[0]) <= LONGEST_WORD:
            yield _Token(fold(found[0]), found.start(), found.end())


def _title_candidates(texts: Sequence[Sequence[_Token]]) -> list[tuple[int, str, str]]:
    """(number of the text, item id, title), each once."""
    numbers, words, runs = [], [], []
    for number, tokens in enumerate(texts):
        for window in range(MOST_WINDOWS):
            part = tokens[window * WINDOW_WORDS : (window + 1) * WINDOW_WORDS + 1]
            if not part:
                break
            numbers.append(number)
            words.append(" or ".join(token.text for token in part if not _CHARACTER.match(token.text)))
            runs.append(" | ".join(f"'{pair}'" for pair in _pairs(part)))
    if not numbers:
        return []
    values: dict[str, Any] = {
        "words": words,
        "pairs": runs,
        "most": MATCHES_READ,
        "candidates": CANDIDATES,
        "tenant": current_tenant_id(),
    }
    with connection.cursor() as cursor:
        cursor.execute(CANDIDATES_OF_WINDOWS, values)
        rows = [(numbers[place - 1], item_id, title) for place, item_id, title in cursor.fetchall()]
    return list(dict.fromkeys(rows))


def _pairs(tokens: Sequence[_Token]) -> list[str]:
    line = "".join(token.text if _CHARACTER.match(token.text) else " " for token in tokens)
    return [pair for run in line.split() for pair in pairs(run)]


def _locate(item_id: str, title: str, tokens: Sequence[_Token]) -> Mention | None:
    """Where the longest part of the title stands in the text, if it is long enough to know the item by."""
    wanted = [token.text for token in _tokens(title)]
    start, length = _longest_common_run([token.text for token in tokens], wanted)
    if not length:
        return None
    part = tokens[start : start + length]
    least = LEAST_CHARACTERS if _CHARACTER.match(part[0].text) else LEAST_WORDS
    if length < len(wanted) and (length < least or 2 * length < len(wanted)):
        return None
    return Mention(item_id, title, part[0].start, part[-1].end, length / len(wanted))


def _longest_common_run(text: Sequence[str], title: Sequence[str]) -> tuple[int, int]:
    """Start in the text, and length, of the longest run of words that both have."""
    best, lengths = (0, 0), [0] * (len(title) + 1)
    for row, word in enumerate(text):
        before = 0
        for column, other in enumerate(title, start=1):
            before, lengths[column] = lengths[column], before + 1 if word == other else 0
            if lengths[column] > best[1]:
                best = (row + 1 - lengths[column], lengths[column])
    return best


def _best(mentions: list[Mention]) -> list[Mention]:
    """Of overlapping ones the longest stays, then the one whose title is said most fully."""
    kept: list[Mention] = []
    for mention in sorted(mentions, key=lambda each: (each.start - each.end, -each.share, each.item_id)):
        if all(mention.end <= other.start or other.end <= mention.start for other in kept):
            kept.append(mention)
    return sorted(kept, key=lambda each: each.start)
