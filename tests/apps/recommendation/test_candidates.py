"""Filling a list from ranked sources."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from apps.recommendation.lists.candidates import Candidate, Cause, Permitted, Ranked, Source, fill
from catalog.selectors import ItemFacts

items = st.lists(st.integers(0, 60).map(str), unique=True, max_size=60)


def source(ranked: Sequence[str]) -> Source:
    return lambda limit: Ranked([Candidate(each, 1.0, Cause("popular", 1.0)) for each in ranked[:limit]])


def permits(allowed: set[str]) -> Permitted:
    return lambda ids: {each: ItemFacts() for each in ids if each in allowed}


@given(sources=st.lists(items, min_size=1, max_size=3), allowed=items.map(set), count=st.integers(1, 20))
def test_nothing_forbidden_appears_and_the_list_is_as_full_as_it_can_be(
    sources: list[list[str]], allowed: set[str], count: int
) -> None:
    pool = fill(count, [source(each) for each in sources], permits(allowed))

    chosen = [pooled.candidate.item_id for pooled in pool.candidates]
    possible = list(dict.fromkeys(item for each in sources for item in each if item in allowed))
    assert chosen == possible[:count]


def test_a_source_is_asked_for_more_until_enough_of_its_items_are_permitted() -> None:
    asked: list[int] = []
    ranked = [str(number) for number in range(500)]

    def rank(limit: int) -> Ranked:
        asked.append(limit)
        return source(ranked)(limit)

    pool = fill(3, [rank], permits({"400", "401", "402"}))

    assert [pooled.candidate.item_id for pooled in pool.candidates] == ["400", "401", "402"]
    assert asked == [6, 24, 96, 1_000_000]


def test_the_next_source_stands_in_only_for_what_the_first_lacks() -> None:
    pool = fill(4, [source(["a", "b"]), source(["b", "c", "d", "e"])], permits({"a", "c", "d", "e"}))

    assert [pooled.candidate.item_id for pooled in pool.candidates] == ["a", "c", "d", "e"]
    assert len(pool.answers) == 2
