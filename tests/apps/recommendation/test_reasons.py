"""Reasons in words."""

import re
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.recommendation.engine import _cause
from apps.recommendation.lists.candidates import Cause
from apps.recommendation.lists.reasons import DID, OF_ITEMS, SAID, explain
from apps.recommendation.selectors import PersonalEvent
from ml.serving.requests import EventPart

TITLES = {"tent": "Tent 4", "boot": "Boot 5"}


def viewed(item: str, weight: float = 0.4, event: str = "e1", type: str = "view") -> Cause:
    return Cause("because_of", weight, item, type, event)


def both(first: Cause, *others: Cause) -> Cause:
    return Cause(first.code, first.weight, first.item_id, first.event_type, first.event_id, also=others)


def text(cause: Cause, recommended: str = "stove") -> str:
    said: str = explain(cause, TITLES, recommended)["text"]
    return said


def test_the_event_behind_an_item_is_told_in_words() -> None:
    reason = explain(viewed("tent", type="add_to_cart"), TITLES, "stove")
    assert reason["text"] == "because you put Tent 4 into your cart"
    assert (reason["weight"], reason["item_id"], reason["event_id"]) == (0.4, "tent", "e1")
    assert "events" not in reason


def test_an_item_that_is_owed_to_itself_is_called_this() -> None:
    assert text(viewed("tent"), "tent") == "because you viewed this"


def test_an_item_without_a_title_is_called_by_its_id() -> None:
    assert text(Cause("similar_to", 0.4, "mug")) == "goes with mug"


def test_several_events_are_told_together_each_with_its_weight() -> None:
    reason = explain(both(viewed("tent", 0.4), viewed("boot", 0.3, "e2", "purchase")), TITLES, "stove")
    assert reason["text"] == "because you viewed Tent 4 and bought Boot 5"
    assert reason["weight"] == pytest.approx(0.7)
    assert (reason["item_id"], reason["event_id"]) == ("tent", "e1")
    assert reason["events"] == [
        {"item_id": "tent", "event_type": "view", "event_id": "e1", "weight": 0.4},
        {"item_id": "boot", "event_type": "purchase", "event_id": "e2", "weight": 0.3},
    ]


def test_an_event_is_named_beside_the_strongest_where_it_adds_half_as_much() -> None:
    now = datetime.now(UTC)
    events = [PersonalEvent(item, "view", now, None, uuid4()) for item in ("tent", "boot", "mug")]
    owed = [EventPart(event=2, part=0.2), EventPart(event=0, part=0.1), EventPart(event=1, part=0.09)]
    cause = _cause(events, 0.5, owed)
    assert [(each.item_id, each.weight) for each in (cause, *cause.also)] == [("mug", 0.4), ("tent", 0.2)]
    assert cause.item_ids == {"mug", "tent"}


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (both(viewed("tent"), viewed("tent", event="e2")), "because you viewed Tent 4"),
        (both(viewed("tent"), viewed("tent", type="buy")), "because you viewed Tent 4 and bought it"),
        (
            both(viewed("tent"), viewed("boot", type="cart"), viewed("mug", type="review")),
            "because you viewed Tent 4, put Boot 5 into your cart and reviewed mug",
        ),
        (viewed("tent", type="share_link"), "because you interacted with Tent 4 (share link)"),
        (both(Cause("similar_to", 0.4, "tent"), Cause("similar_to", 0.3, "boot")), "goes with Tent 4 and Boot 5"),
        (Cause("bought_together", 0.4, "boot"), "often bought together with Boot 5"),
        (Cause("sent_by_a_friend", 0.4), "sent by a friend"),
    ],
)
def test_reasons_read_as_sentences(cause: Cause, said: str) -> None:
    assert text(cause) == said


def test_names_with_braces_are_only_names() -> None:
    assert text(viewed("{0}", type="{item}")) == "because you interacted with {0} ({item})"


words = st.text(st.characters(blacklist_characters="{}", blacklist_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda word: "None" not in word and word.replace("_", " ").strip()
)
items = st.none() | words
codes = st.sampled_from([*SAID, *OF_ITEMS, "because_of"]) | words
causes = st.builds(
    Cause,
    codes,
    st.floats(0, 1),
    items,
    st.none() | st.sampled_from(list(DID)) | words,
    st.none() | st.uuids().map(str),
)


@given(causes, st.lists(causes, max_size=2), st.dictionaries(words, words, max_size=3), words)
def test_every_cause_has_a_text_without_raw_placeholders(
    first: Cause, others: list[Cause], titles: dict[str, str], recommended: str
) -> None:
    cause = both(first, *(both(Cause(first.code, each.weight, each.item_id, each.event_type)) for each in others))
    reason = explain(cause, titles, recommended)
    assert reason["text"].strip()
    assert not re.search(r"[{}]|None", reason["text"])
    assert 0.0 <= reason["weight"] <= 1.0
