"""Bodies that are read at once are read as rest_framework reads them, and what it refuses is refused in its words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import serializers

from api.serializers import StrictSerializer
from apps.ads.auctions.quick import QuickSerializer, QuickText, QuickTexts
from apps.ads.auctions.serializers import AdAskSerializer


@contextmanager
def the_long_way() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QuickSerializer, "run_validation", StrictSerializer.run_validation)
        patch.setattr(QuickText, "run_validation", serializers.CharField.run_validation)
        patch.setattr(QuickTexts, "run_validation", serializers.ListField.run_validation)
        yield


def read(body: Any) -> Any:
    try:
        return AdAskSerializer.read(body)
    except serializers.ValidationError as error:
        return error.get_full_details()


odd: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", " ", " tent ", "zelt\0", "Zürich", "\ud800", "x" * 101, 7, 1.5, True, [], {}, ["a"]]
)
word = st.text("abc-1 ", min_size=1, max_size=5)
text = odd | word
texts = st.lists(text, max_size=3) | odd | st.just(["w"] * 101)
flag = st.booleans() | odd
context = st.fixed_dictionaries(
    {},
    optional={
        "country": text,
        "language": text,
        "device": st.sampled_from(["mobile", "fridge"]) | odd,
        "categories": texts,
        "segments": texts,
        "attributes": st.dictionaries(word, text, max_size=3) | odd | st.just({f"a{n}": "x" for n in range(21)}),
        "colour": text,
    },
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "placements": st.lists(st.sampled_from(["top", "a b"]), max_size=3) | odd,
        "context": context | odd,
        "keywords": texts,
        "user_agent": text,
        "consent": st.fixed_dictionaries({}, optional={"personalisation": flag, "training": flag, "all": flag}) | odd,
        "include_prices": flag,
        "more": text,
    },
)


@given(bodies | odd)
def test_a_body_is_read_the_same_at_once_and_the_long_way(body: Any) -> None:
    with the_long_way():
        wanted = read(body)

    assert read(body) == wanted
