from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.data.batches import EventBatch, hours_of_week, make_batch
from ml.data.columns import EventColumns
from ml.data.item_features import ItemFeatures, write_item_features
from ml.nn.sequence_model import SequenceModel
from ml.serving.artifact import Artifact
from ml.serving.next_item import NextItemPredictor
from ml.serving.scorer import Scorer
from ml.tasks.registry import TASKS
from tests.ml.logs import TINY, make_log

ITEMS = 6


def build(inputs: tuple[str, ...], **changes: object) -> SequenceModel:
    torch.manual_seed(0)
    arguments = {"items": ITEMS, "types": 2, "encoder": "transformer", "dimension": 16, "layers": 1, "heads": 2}
    arguments |= {"dropout": 0.0, "max_length": 4, "inputs": inputs, "copying": False}
    return SequenceModel(**{**arguments, **changes}).eval()


def batch(time: float = 0.0) -> EventBatch:
    item = np.array([[1, 2, 3], [4, 5, 0]])
    times = time + np.array([[0.0, 10.0, 20.0], [0.0, 10.0, 20.0]])
    return make_batch(item, np.ones_like(item), times, np.full(item.shape, np.nan), np.array([3, 2]))


def features() -> ItemFeatures:
    text = np.random.default_rng(0).normal(size=(ITEMS, 5)).astype(np.float32)
    attributes = {"brand": ["a", "a", "b", "b", None, "c"], "category": [["x", "y"], ["x"], [], ["y"], ["x"], "z"]}
    return ItemFeatures.build(items=ITEMS, attributes=attributes, text=text)


def described(inputs: tuple[str, ...], **changes: object) -> SequenceModel:
    model = build(inputs, attribute_values=features().values, text_dimension=5, **changes)
    model.embedding.describe(features())
    return model


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2024, 2, 29, 23, 59, tzinfo=UTC),
        datetime(1969, 12, 31, 5, tzinfo=UTC),
        datetime(2026, 1, 5, tzinfo=UTC),
    ],
)
def test_hours_count_from_monday_midnight_utc(moment: datetime) -> None:
    assert hours_of_week(np.array([moment.timestamp()])).tolist() == [moment.weekday() * 24 + moment.hour]


def test_hour_of_day_and_day_of_week_matter_only_where_the_input_is_on() -> None:
    def differs(inputs: tuple[str, ...], seconds: float) -> bool:
        model = build(inputs)
        return not torch.equal(model.rank(batch()).probability, model.rank(batch(seconds)).probability)

    assert differs(("hour",), 3600.0)
    assert differs(("hour",), 86400.0)
    assert not differs(("hour",), 7 * 86400.0)
    assert not differs(("type", "gap", "value"), 3600.0)


def test_a_composed_vector_is_the_sum_of_its_parts() -> None:
    """Against a plain loop over items and values."""
    model, known = described(("attributes", "text")), features()
    content = model.embedding.content
    assert content is not None
    assert content.value_table is not None
    assert content.text_projection is not None
    rows = dict(
        zip(
            [*("brand " + name for name in "abc"), *("category " + name for name in "xyz")],
            content.value_table.weight,
            strict=True,
        )
    )
    own = model.embedding.item_table.weight
    first = own[1] + rows["brand a"] + (rows["category x"] + rows["category y"]) / 2
    third = own[3] + rows["brand b"]
    assert known.text is not None
    projected = torch.from_numpy(known.text) @ content.text_projection.weight.T
    torch.testing.assert_close(model.table[0], first + projected[0])
    torch.testing.assert_close(model.table[2], third + projected[2])
    assert not model.embedding.item_vectors()[0].any()


def test_a_score_still_splits_exactly_into_its_events() -> None:
    model = described(("attributes", "text", "hour"))
    ranking = model.rank(batch())
    for row in range(2):
        logit = ranking.logit_shares(row, model.table).sum(dim=0) + model.bias
        torch.testing.assert_close(logit.softmax(dim=0), ranking.generated[row])


def test_training_reaches_what_describes_the_items_and_evaluation_sees_the_new_weights() -> None:
    model = described(("attributes", "text"), id_dropout=0.5)
    before = model.rank(batch()).probability.clone()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    target = torch.tensor([[2, 3, 6], [5, 6, 0]])
    model.train()
    for _ in range(2):
        optimizer.zero_grad()
        (-model.log_probability(batch(), target).mean()).backward()
        optimizer.step()
    content = model.embedding.content
    assert content is not None
    assert content.value_table is not None
    assert content.text_projection is not None
    assert content.value_table.weight.grad is not None
    assert content.value_table.weight.grad.any()
    assert content.text_projection.weight.grad is not None
    assert content.text_projection.weight.grad.any()
    assert not torch.allclose(model.eval().rank(batch()).probability, before)


def test_id_dropout_leaves_out_that_share_of_own_vectors_while_training_alone() -> None:
    model = build(("attributes",), items=4000, attribute_values=1, id_dropout=0.25)
    model.embedding.describe(ItemFeatures.build(items=4000, attributes={"brand": ["a"] * 4000}))
    content = model.embedding.content
    assert content is not None
    torch.testing.assert_close(model.table, model.embedding.item_table.weight[1:] + content()[1:])
    alone = (model.train().table == content()[1:]).all(dim=1).float().mean()
    assert 0.22 < float(alone) < 0.28


@pytest.fixture(scope="module")
def described_log(tmp_path_factory: pytest.TempPathFactory) -> EventColumns:
    log = make_log(tmp_path_factory.mktemp("described") / "columns")
    text = np.random.default_rng(0).normal(size=(len(log.items), 8)).astype(np.float16)
    brand = [f"brand-{number % 4}" for number in range(len(log.items))]
    write_item_features(log.path, items=log.items, attributes={"brand": brand}, text=text)
    return log


def test_an_artifact_needs_no_log_to_answer(described_log: EventColumns, tmp_path: Path) -> None:
    settings = {**TINY, "epochs": 2, "inputs": ["type", "hour", "attributes", "text"]}
    TASKS["next_item"].fit(described_log, settings, tmp_path / "model", progress=lambda _: None)
    scorer = Scorer.load(Artifact.open(tmp_path / "model"))
    content = scorer.model.embedding.content
    assert content is not None
    assert content.features.items == len(described_log.items)
    assert torch.equal(scorer.model.table, scorer.model.embedding.item_table.weight[1:] + content()[1:])
    assert NextItemPredictor.load(tmp_path / "model").nbytes > content.text.nbytes

    warm = TASKS["next_item"].fit(
        described_log, settings, tmp_path / "warm", progress=lambda _: None, initial=tmp_path / "model"
    )
    assert warm.score > 0.0


def test_inputs_that_the_log_cannot_give_are_refused(log: EventColumns, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no item attributes and no text"):
        TASKS["next_item"].fit(log, {**TINY, "inputs": ["attributes", "text"]}, tmp_path, progress=lambda _: None)
