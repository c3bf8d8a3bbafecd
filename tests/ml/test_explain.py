"""Scores taken apart: exactness, completeness, and gradients held against an independent computation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ml.data.batches import EventBatch, make_batch
from ml.explain import METHODS
from ml.explain.faithfulness import measure_faithfulness
from ml.explain.network import integrated_gradients, one_sequence
from ml.explain.parts import MEMBERS
from ml.nn.encoders import ENCODERS
from ml.nn.sequence_model import SequenceModel
from ml.serving.next_item import NextItemPredictor
from ml.serving.predictor import Predictor, load_predictor, load_rules
from ml.serving.requests import NextItemPrediction, NextItemRequest

Ask = Callable[..., NextItemRequest]
HISTORY = ["item-2", "item-4", "nobody-knows", "item-31", "item-4"]


def small_model(encoder: str = "transformer", **changes: object) -> SequenceModel:
    torch.manual_seed(0)
    arguments = {"items": 9, "types": 2, "dimension": 8, "layers": 2, "heads": 2, "dropout": 0.1, "max_length": 6}
    arguments |= {"encoder": encoder, "inputs": ("type", "gap"), "copying": False}
    return SequenceModel(**{**arguments, **changes}).eval()


def sequences(*lengths: int) -> EventBatch:
    generator = np.random.default_rng(1)
    shape = (len(lengths), max(lengths))
    time = generator.exponential(500.0, shape).cumsum(axis=1)
    item, kind = generator.integers(1, 10, shape), generator.integers(1, 3, shape)
    return make_batch(item, kind, time, np.full(shape, np.nan), np.array(lengths))


@pytest.fixture(scope="module", params=["network", "rules"])
def either(request: pytest.FixtureRequest, artifact: Path) -> Predictor:
    return load_predictor(artifact) if request.param == "network" else load_rules(artifact)


@pytest.fixture(scope="module")
def predictor(artifact: Path) -> NextItemPredictor:
    loaded = load_predictor(artifact)
    assert isinstance(loaded, NextItemPredictor)
    return loaded


@pytest.mark.parametrize("encoder", sorted(ENCODERS))
def test_integrated_gradients_are_complete(encoder: str) -> None:
    """What the events add is the difference to the baseline, for every item and every encoder."""
    model, batch = small_model(encoder), sequences(3, 6)
    generated = model.rank(batch).generated
    for row in range(2):
        attributed, base = integrated_gradients(model, one_sequence(batch, row), torch.arange(9))
        assert attributed.shape == (int(batch.length[row]), 9)
        assert torch.allclose(attributed.sum(dim=0) + base, generated[row], rtol=1e-2, atol=1e-4)
        assert base.sum() == pytest.approx(1.0, abs=1e-5)


def test_integrated_gradients_are_those_of_finite_differences() -> None:
    """The path integral of log softmax, in double precision, by central differences along each event's vector."""
    model, batch = small_model().double(), sequences(4)
    with torch.no_grad():
        events = model.embedding(batch)[0]
        baseline = (events.sum(dim=0) / 5).expand(4, -1)
        wanted, steps, width = 3, 200, 1e-5

        def log_softmax(vectors: torch.Tensor) -> torch.Tensor:
            states = model.encoder(vectors[None])
            pooled = model.pooling(states, states)[0, -1]
            return (model.table @ pooled + model.bias).log_softmax(dim=0)[wanted]

        expected = []
        for event in range(4):
            direction = torch.zeros_like(events)
            direction[event] = events[event] - baseline[event]
            slopes = []
            for step in range(steps):
                point = baseline + (events - baseline) * (step + 0.5) / steps
                rise = log_softmax(point + width * direction) - log_softmax(point - width * direction)
                slopes.append(rise / (2 * width))
            expected.append(torch.stack(slopes).mean())
        before, after = log_softmax(baseline), log_softmax(events)
        scale = (after.exp() - before.exp()) / (after - before)
    attributed, base = integrated_gradients(model, batch, torch.tensor([wanted]))
    assert attributed[:, 0].tolist() == pytest.approx((torch.stack(expected) * scale).tolist(), rel=2e-3, abs=1e-6)
    assert base.item() == pytest.approx(before.exp().item(), rel=1e-6)


def test_of_a_linear_network_integrated_gradients_are_known_in_closed_form() -> None:
    """Without an encoder, and with all weight on the newest event, the score rests on that event alone:
    log p is that of a softmax regression, whose only input gets the whole difference."""
    model, batch = small_model(), sequences(3)
    model.encoder = torch.nn.Identity()
    with torch.no_grad():
        model.pooling.newest.fill_(100.0)
        events = model.embedding(batch)[0]
        after = (model.table @ events[-1] + model.bias).softmax(dim=0)
        before = (model.table @ (events.sum(dim=0) / 4) + model.bias).softmax(dim=0)
    attributed, base = integrated_gradients(model, batch, torch.arange(9))
    assert attributed[-1].tolist() == pytest.approx((after - before).tolist(), abs=1e-5)
    assert attributed[:-1].abs().max() < 1e-6
    assert base.tolist() == pytest.approx(before.tolist(), abs=1e-6)


def test_items_that_do_not_fit_one_pass_get_the_same_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = small_model(), sequences(5)
    together, _ = integrated_gradients(model, batch, torch.arange(9))
    monkeypatch.setattr("ml.explain.network.PATHS_AT_ONCE", 32)
    apart, _ = integrated_gradients(model, batch, torch.arange(9))
    assert torch.allclose(together, apart, atol=1e-6)


@pytest.mark.parametrize("attribution", METHODS)
def test_the_parts_of_a_score_sum_to_it(either: Predictor, ask: Ask, attribution: str) -> None:
    request = ask(HISTORY, decompose=True, attribution=attribution, count=40)
    (prediction,) = either.predict([request])
    for score, members in zip(prediction["scores"], prediction["members"], strict=True):
        assert sum(member["part"] for member in members) == pytest.approx(score, rel=1e-3, abs=1e-6)
        assert [member["name"] for member in members] == [name for name in MEMBERS if name in names(members)]
    assert 2 not in {each["event"] for members in prediction["members"] for each in events(members)}


def names(members: list) -> set[str]:
    return {member["name"] for member in members}


def events(members: list) -> list:
    return [each for member in members for each in member["events"]]


def test_each_member_has_its_own_part(predictor: NextItemPredictor, ask: Ask) -> None:
    """The parts are those of the scorer's own distributions, each by its share of the mixture."""
    from ml.serving.requests import read_history

    request = ask(HISTORY, decompose=True, count=40)
    (prediction,) = predictor.predict([request])
    batch = predictor._batch([request], [read_history(request, predictor.vocabulary, limit=12)])
    components, _ = predictor.scorer.components(batch)
    shares = predictor.scorer.mixture.to_dict()
    for item, members in zip(prediction["items"], prediction["members"], strict=True):
        column = predictor.vocabulary.item_codes[item] - 1
        found = {member["name"]: member["part"] for member in members}
        for number, name in enumerate(MEMBERS):
            expected = shares[name] * components[number, 0, column]
            assert found.get(name, 0.0) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_the_rules_part_of_an_event_is_what_its_absence_takes(artifact: Path, ask: Ask) -> None:
    """Rules are a sum over events, so with the others' recency unchanged the part is the difference."""
    rules = load_rules(artifact)
    (prediction,) = rules.predict([ask(["item-4"], decompose=True, candidates=["item-31"])])
    (rule,) = (member for member in prediction["members"][0] if member["name"] == "rules")
    share = dict(zip(*rules.similar("item-4", 40), strict=True))["item-31"]
    assert rule["events"] == [{"event": 0, "part": pytest.approx(rules.mixture.rules * share, rel=1e-5)}]


def test_without_being_asked_a_prediction_has_no_members(either: Predictor, ask: Ask) -> None:
    (prediction,) = either.predict([ask(HISTORY)])
    assert "members" not in prediction


def test_what_is_unknown_is_owed_to_popularity(either: Predictor, ask: Ask) -> None:
    (prediction,) = either.predict([ask([], decompose=True, count=2)])
    assert [names(members) for members in prediction["members"]] == [{"popularity"}] * 2
    (mixed,) = either.predict([ask(["item-4"], decompose=True, candidates=["nobody-knows"])])
    assert mixed["members"] == [[]]


def test_the_strongest_events_come_first_and_the_first_is_the_one_named(either: Predictor, ask: Ask) -> None:
    (prediction,) = either.predict([ask(["item-2", "item-4", "item-9", "item-4", "item-31"])])
    for owed, because, share, score in zip(
        *(prediction[name] for name in ("owed", "because", "shares", "scores")), strict=True
    ):
        parts = [each["part"] for each in owed]
        assert parts == sorted(parts, reverse=True)
        assert len(parts) <= 3
        assert all(part > 0 for part in parts)
        assert because == (owed[0]["event"] if owed else None)
        assert share == pytest.approx(min(1.0, parts[0] / score) if parts else 0.0)


def test_a_long_list_is_taken_apart_in_runs(either: Predictor, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask(HISTORY, decompose=True, count=40)
    (whole,) = either.predict([request])
    monkeypatch.setattr("ml.serving.requests.ITEMS_AT_ONCE", 7)
    (runs,) = either.predict([request])
    assert runs["because"] == whole["because"]
    assert runs["shares"] == pytest.approx(whole["shares"], rel=1e-5)
    assert [names(members) for members in runs["members"]] == [names(members) for members in whole["members"]]


def test_an_unknown_attribution_is_refused_by_name(predictor: NextItemPredictor, ask: Ask) -> None:
    with pytest.raises(ValueError, match="'magic' is unknown; use content, attention, integrated_gradients"):
        predictor.predict([ask(["item-4"], attribution="magic")])


def test_a_new_item_is_owed_to_the_network_that_speaks_for_it(predictor: NextItemPredictor, ask: Ask) -> None:
    """The parts of an item that counts do not know yet sum to its score too."""
    from dataclasses import replace

    # The last item stands for one that was added after training.
    scorer = replace(predictor.scorer, added=1)
    grown = replace(predictor, scorer=scorer)
    (prediction,) = grown.predict([ask(HISTORY, decompose=True, candidates=["item-39"])])
    (members,) = prediction["members"]
    assert sum(member["part"] for member in members) == pytest.approx(prediction["scores"][0], rel=1e-4)


class Dictated:
    """Scores an item by the sum of what its events are worth, and names the event that it is told to."""

    task = "dictated"
    nbytes = 0
    worth = {"a": 0.5, "b": 0.3, "c": 0.1}

    def predict(self, requests: list[NextItemRequest]) -> list[NextItemPrediction]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: NextItemRequest) -> NextItemPrediction:
        named = (
            request["items"].index(request.get("attribution", "a"))
            if "count" in request and len(request["items"]) == 3
            else 0
        )
        score = 0.1 + sum(self.worth[item] for item in request["items"])
        return NextItemPrediction(items=["x"], scores=[score], attention=[], because=[named], shares=[1.0], owed=[[]])

    def add_items(self, ids: list[str], features: object) -> "Dictated":
        raise ValueError


def test_faithfulness_is_what_is_lost_without_the_named_event(ask: Ask) -> None:
    """Of a score of 1 the event a is worth a half; naming c, worth a tenth, is worse than any other."""
    found = measure_faithfulness(Dictated(), [ask(["a", "b", "c"])] * 4, ["a", "c"])
    assert (found["a"].named, found["a"].random, found["a"].wins) == pytest.approx((0.5, 0.2, 1.0))
    assert (found["c"].named, found["c"].random, found["c"].wins) == pytest.approx((0.1, 0.4, 0.0))
    assert found["best"] == found["a"]
    assert (found["a"].low, found["a"].high) == pytest.approx((0.3, 0.3))
    assert found["a"].cases == 4


def test_the_named_events_of_a_trained_model_matter_more_than_others(predictor: NextItemPredictor, ask: Ask) -> None:
    generator = np.random.default_rng(0)
    requests = [ask([f"item-{code}" for code in generator.integers(40, size=5)]) for _ in range(25)]
    found = measure_faithfulness(predictor, requests, METHODS)
    for method in METHODS:
        assert found[method].wins > 0.7, (method, found[method])
        assert found[method].difference <= found["best"].difference + 1e-9
    assert found["content"].low > 0.0
