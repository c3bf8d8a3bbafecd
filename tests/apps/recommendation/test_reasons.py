"""Reasons in words."""

from apps.recommendation.candidates import Cause
from apps.recommendation.reasons import explain

TITLES = {"tent": "Tent 4"}


def test_the_event_behind_an_item_is_told_in_words() -> None:
    reason = explain(Cause("because_of", 0.4, "tent", "add_to_cart", "e1"), TITLES, "stove")
    assert reason["text"] == "because you put Tent 4 into your cart"
    assert (reason["weight"], reason["item_id"], reason["event_id"]) == (0.4, "tent", "e1")


def test_an_item_that_is_owed_to_itself_is_called_this() -> None:
    assert explain(Cause("because_of", 0.4, "tent", "view", "e1"), TITLES, "tent")["text"] == "because you viewed this"


def test_an_item_without_a_title_is_called_by_its_id() -> None:
    assert explain(Cause("similar_to", 0.4, "mug"), TITLES, "tent")["text"] == "goes with mug"
