from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.data.columns import EventColumns, write_columns
from ml.data.item_features import ItemFeatures, value_codes, write_item_features


@pytest.fixture
def columns(tmp_path: Path) -> EventColumns:
    return write_columns(
        tmp_path / "log",
        subject=[0],
        item=[1],
        type=[0],
        time=[0.0],
        value=[1.0],
        items=["p", "q", "r"],
        types=["view"],
    )


def values_of(features: ItemFeatures, item: int) -> list[tuple[str, str]]:
    pairs = list(value_codes(features.names))
    return [pairs[code] for code in features.code[features.offsets[item] : features.offsets[item + 1]]]


def test_features_are_matched_by_id_and_found_beside_the_columns(columns: EventColumns) -> None:
    assert columns.features() is None
    text = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=np.float16)
    attributes = {"brand": ["x", None, "y"], "category": [["c", "d"], "d", []]}
    write_item_features(columns.path, items=["r", "unheard-of", "p"], attributes=attributes, text=text)
    found = EventColumns.open(columns.path).features()
    assert found is not None
    assert found.text is not None
    assert [values_of(found, item) for item in range(3)] == [
        [("brand", "y")],
        [],
        [("brand", "x"), ("category", "c"), ("category", "d")],
    ]
    assert found.text.tolist() == [[5.0, 6.0], [0.0, 0.0], [1.0, 2.0]]
    assert found.text.dtype == np.float16
    assert found.weights().tolist() == [1.0, 1.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"attributes": {"brand": ["x"]}}, "brand has 1 rows where there are 2 items"),
        ({"text": np.zeros((1, 4))}, "text has 1 rows where there are 2 items"),
        ({"text": np.zeros(2)}, "one embedding per item"),
        ({"text": np.full((2, 4), np.nan)}, "must be finite"),
        ({"items": ["p", "p"]}, "twice"),
    ],
)
def test_what_does_not_fit_the_items_is_refused(columns: EventColumns, given: dict, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        write_item_features(columns.path, **{"items": ["p", "q"], **given})


@settings(max_examples=100)
@given(rows=st.lists(st.tuples(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("cde"))), min_size=1))
def test_every_attribute_of_an_item_weighs_one(rows: list[tuple[list[str], list[str]]]) -> None:
    attributes = {"one": [row[0] for row in rows], "other": [row[1] for row in rows]}
    features = ItemFeatures.build(items=len(rows), attributes=attributes)
    total = np.add.reduceat(np.append(features.weights(), 0.0), features.offsets[:-1])
    total[np.diff(features.offsets) == 0] = 0.0
    np.testing.assert_allclose(total, [bool(row[0]) + bool(row[1]) for row in rows], rtol=1e-6)


def test_values_unknown_to_a_model_are_left_out_of_new_items() -> None:
    trained = ItemFeatures.build(items=2, attributes={"brand": ["x", "y"]})
    more = ItemFeatures.build(items=2, attributes={"brand": [["new", "y"], "new"], "colour": ["red", "y"]})
    grown = trained.extend(more)
    assert [values_of(grown, item) for item in range(4)] == [[("brand", "x")], [("brand", "y")], [("brand", "y")], []]
    assert grown.names == trained.names


def test_text_of_another_encoder_is_refused() -> None:
    trained = ItemFeatures.build(items=1, text=np.zeros((1, 4)))
    with pytest.raises(ValueError, match="dimension 5"):
        trained.extend(ItemFeatures.build(items=1, text=np.zeros((1, 5))))
