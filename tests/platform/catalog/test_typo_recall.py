"""How many items a mistyped query still finds, beside plain full text, on a synthetic catalogue."""

import random

import pytest

from catalog import services
from catalog.services import upsert_items
from catalog.text_analysis import edits, one_edit_away
from catalog.text_query import read_text_query
from catalog.text_search import search_items_by_text

ITEMS = 400
SYLLABLES = ["ba", "ke", "lo", "mi", "nu", "ra", "si", "to", "vu", "za", "dor", "fen", "gul", "hem", "pra", "ste"]


def mistype(word: str, generator: random.Random) -> str:
    """One mistake behind the first letter: a letter lost, doubled, wrong, or swapped with its neighbour."""
    place = generator.randrange(1, len(word) - 1)
    left, here, right = word[:place], word[place], word[place + 1 :]
    return generator.choice(
        [left + right, left + here + here + right, left + "x" + right, left + right[0] + here + right[1:]]
    )


def recall(queries: dict[str, str], *, corrected: bool) -> float:
    """Share of the items that are among the first ten found by their query."""
    hits = 0
    for item_id, text in queries.items():
        query = read_text_query(text)
        plain = " & ".join(term.query.split(" | ")[0] for term in query.terms)
        words = query.all_terms if corrected else plain
        hits += item_id in [match.item_id for match in search_items_by_text(words, limit=10).matches]
    return hits / len(queries)


@pytest.mark.usefixtures("scope")
def test_mistyped_queries_find_their_item(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = random.Random(5)
    monkeypatch.setattr(services, "INDEXED_AT_ONCE", ITEMS)
    words = sorted({"".join(generator.choices(SYLLABLES, k=generator.choice([2, 3, 4]))) for _ in range(600)})
    titles = {f"i-{number}": generator.sample(words, 2) for number in range(ITEMS)}
    upsert_items([{"id": item_id, "title": " ".join(title)} for item_id, title in titles.items()])
    asked = dict(generator.sample(sorted(titles.items()), 60))

    right = {item_id: " ".join(title) for item_id, title in asked.items()}
    wrong = {item_id: f"{mistype(title[0], generator)} {title[1]}" for item_id, title in asked.items()}

    assert recall(right, corrected=False) == 1.0
    assert recall(wrong, corrected=False) < 0.1
    assert recall(wrong, corrected=True) > 0.9


@pytest.mark.parametrize("word", ["tent", "boot", "waterproof"])
def test_what_is_one_edit_away_has_a_distance_of_one(word: str) -> None:
    made = one_edit_away(word)

    assert {edits(word, other, 2) for other in made} == {1}
    assert {word[1] + word[0] + word[2:], word[1:], word + "s", "x" + word[1:]} <= made | {word}
