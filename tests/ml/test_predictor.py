import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ml.data.columns import EventColumns
from ml.data.splits import window_cases
from ml.data.vocabulary import Vocabulary
from ml.evaluation.ranking import pessimistic_ranks
from ml.serving.artifact import Artifact
from ml.serving.lists import top_lists
from ml.serving.next_item import NextItemPredictor
from ml.serving.predictor import Predictor, RulesPredictor, load_predictor, load_rules
from ml.serving.requests import NextItemRequest, read_history
from ml.serving.scorer import Scorer
from ml.serving.subject_vectors import subject_vectors
from ml.tasks.next_item_evaluation import CaseEvaluator

Ask = Callable[..., NextItemRequest]


@pytest.fixture(scope="session")
def predictor(artifact: Path) -> NextItemPredictor:
    loaded = load_predictor(artifact)
    assert isinstance(loaded, NextItemPredictor)
    return loaded


@pytest.fixture(scope="session")
def rules(artifact: Path) -> RulesPredictor:
    return load_rules(artifact)


@pytest.fixture(params=["network", "rules"])
def either(request: pytest.FixtureRequest, predictor: NextItemPredictor, rules: RulesPredictor) -> Predictor:
    return predictor if request.param == "network" else rules


def test_serving_ranks_as_evaluation_does(log: EventColumns, artifact: Path, predictor: NextItemPredictor) -> None:
    """The same cases through the evaluator's columns and through JSON requests give the same ranks."""
    cases, _ = window_cases(log, start=float(np.quantile(log.time, 0.9)), end=np.inf, successive=True)
    loaded = Artifact.open(artifact)
    evaluator = CaseEvaluator(log, loaded.max_length, False, lambda: None)
    expected = evaluator.ranks(cases, [loaded.mixture], Scorer.load(loaded))[0]
    requests = [
        NextItemRequest(
            items=[log.items[code - 1] for code in log.item[start:target]],
            types=[log.types[code] for code in log.type[start:target]],
            times=log.time[start:target].tolist(),
            values=[None if np.isnan(value) else float(value) for value in log.value[start:target]],
            count=len(log.items),
        )
        for start, target in zip(cases.start, cases.target, strict=True)
    ]
    wanted = [log.items[log.item[target] - 1] for target in cases.target]
    ranks = []
    for prediction, item in zip(predictor.predict(requests), wanted, strict=True):
        scores = np.array(prediction["scores"])
        ranks.append(pessimistic_ranks(scores[None], np.array([prediction["items"].index(item)]))[0])
    assert ranks == expected.tolist()


@pytest.mark.parametrize("exclude_seen", [False, True])
def test_lists_of_a_whole_log_are_those_of_the_predictor(
    log: EventColumns, artifact: Path, predictor: NextItemPredictor, ask: Ask, exclude_seen: bool
) -> None:
    cases, _ = window_cases(log, start=float(np.quantile(log.time, 0.97)), end=np.inf, successive=True)
    length = Artifact.open(artifact).max_length
    cases = cases.take(cases.target - cases.start <= length)
    lists = top_lists(predictor.scorer, log, cases, count=5, max_length=length, exclude_seen=exclude_seen)
    for found, start, target in zip(lists, cases.start, cases.target, strict=True):
        items = [log.items[code - 1] for code in log.item[start:target]]
        request = ask(
            items,
            types=[log.types[code] for code in log.type[start:target]],
            times=log.time[start:target].tolist(),
            values=[None if np.isnan(value) else float(value) for value in log.value[start:target]],
            exclude=items if exclude_seen else [],
            count=5,
        )
        assert [log.items[code - 1] for code in found] == predictor.predict([request])[0]["items"]


def test_a_list_ends_where_there_is_nothing_left(log: EventColumns, predictor: NextItemPredictor) -> None:
    cases, _ = window_cases(log, start=float(np.quantile(log.time, 0.99)), end=np.inf, successive=False)
    lists = top_lists(predictor.scorer, log, cases, count=99, max_length=12, exclude_seen=True)
    seen = [len(set(log.item[start:target])) for start, target in zip(cases.start, cases.target, strict=True)]
    assert lists.shape == (len(cases), len(log.items))
    assert [np.count_nonzero(found) for found in lists] == [len(log.items) - known for known in seen]


def test_a_batch_answers_as_one_by_one(either: Predictor, ask: Ask) -> None:
    histories = [["item-3"], [], ["item-1", "item-10"], ["nobody-knows"], ["item-5"] * 30]
    requests = [ask(history) for history in histories]
    together, alone = either.predict(requests), [either.predict([request])[0] for request in requests]
    for one, other in zip(together, alone, strict=True):
        assert one["items"] == other["items"]
        assert one["because"] == other["because"]
        assert one["scores"] == pytest.approx(other["scores"], rel=1e-4)


def test_the_same_request_gets_the_same_answer(either: Predictor, ask: Ask) -> None:
    request = ask(["item-1", "item-10", "item-33"])
    assert either.predict([request]) == either.predict([request])


def test_the_successor_of_the_last_item_leads_and_is_explained_by_it(either: Predictor, ask: Ask) -> None:
    (prediction,) = either.predict([ask(["item-2", "item-4"], exclude=["item-2", "item-4", "item-24"])])
    assert prediction["items"][0] == "item-31"  # 7 * 4 + 3
    assert prediction["because"][0] == 1
    assert prediction["shares"][0] > 0.5
    assert all(0.0 <= share <= 1.0 for share in prediction["shares"])
    assert prediction["scores"] == sorted(prediction["scores"], reverse=True)


def test_unknown_items_are_passed_over(either: Predictor, ask: Ask) -> None:
    (plain,) = either.predict([ask(["item-1", "item-10"])])
    (mixed,) = either.predict([ask(["item-1", "nobody-knows", "item-10"], times=[0.0, 30.0, 60.0])])
    assert mixed["items"] == plain["items"]
    assert mixed["scores"] == pytest.approx(plain["scores"])
    assert mixed["attention"][1] == 0.0
    assert sum(mixed["attention"]) == pytest.approx(1.0)
    assert 1 not in mixed["because"]


@pytest.mark.parametrize("history", [[], ["nobody-knows", "nor-this"]])
def test_who_is_unknown_gets_what_is_popular(
    either: Predictor, rules: RulesPredictor, ask: Ask, history: list[str]
) -> None:
    (prediction,) = either.predict([ask(history)])
    assert (prediction["items"], prediction["scores"]) == rules.popular(10)
    assert prediction["because"] == [None] * 10
    assert prediction["attention"] == [0.0] * len(history)


def test_excluded_items_never_come_back_and_the_list_stays_full(either: Predictor, ask: Ask) -> None:
    (prediction,) = either.predict([ask(["item-4"])])
    (without,) = either.predict([ask(["item-4"], exclude=[*prediction["items"][:3], "nobody-knows"])])
    assert without["items"][:7] == prediction["items"][3:]
    assert len(without["items"]) == 10
    everything = [f"item-{code}" for code in range(40)]
    (nothing,) = either.predict([ask(["item-4"], exclude=everything)])
    assert (nothing["items"], nothing["scores"], nothing["because"]) == ([], [], [])


def test_candidates_are_ranked_among_themselves_and_the_unknown_come_last(either: Predictor, ask: Ask) -> None:
    (free,) = either.predict([ask(["item-4"], count=40)])
    candidates = ["nobody-knows", "item-9", "item-31", "item-9", "item-2", "item-7"]
    (prediction,) = either.predict([ask(["item-4"], candidates=candidates, exclude=["item-7"])])
    known = sorted(["item-9", "item-31", "item-2"], key=free["items"].index)
    assert prediction["items"] == [*known, "nobody-knows"]
    assert prediction["scores"][-1] == 0.0
    assert prediction["because"][-1] is None


def test_a_request_whose_lists_do_not_fit_is_refused_by_name(either: Predictor, ask: Ask) -> None:
    with pytest.raises(ValueError, match="times has 1 entries where items has 2"):
        either.predict([ask(["item-1", "item-2"], times=[1.0])])
    with pytest.raises(ValueError, match="count"):
        either.predict([ask(["item-1"], count=0)])


def test_a_history_longer_than_the_network_reads_is_cut_to_its_end(either: Predictor, ask: Ask) -> None:
    long = [f"item-{code % 40}" for code in range(60)]
    (whole,), (end,) = either.predict([ask(long)]), either.predict([ask(long[-12:])])
    assert whole["items"] == end["items"]
    assert whole["attention"][:48] == [0.0] * 48
    assert whole["attention"][48:] == pytest.approx(end["attention"])


def test_similar_items_are_those_that_follow(rules: RulesPredictor) -> None:
    items, scores = rules.similar("item-4", 3)
    assert items[0] == "item-31"
    assert "item-4" not in items
    assert scores == sorted(scores, reverse=True)
    assert rules.similar("nobody-knows", 3) == ([], [])


def test_rules_need_no_torch(artifact: Path) -> None:
    script = (
        "import sys; from ml.serving.predictor import load_rules; "
        f"load_rules({str(artifact)!r}).popular(3); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[2], timeout=60)


def test_a_predictor_knows_its_size(predictor: NextItemPredictor, artifact: Path) -> None:
    on_disk = sum((artifact / name).stat().st_size for name in ("model.safetensors", "rules.safetensors"))
    assert predictor.nbytes >= 0.9 * on_disk


def test_an_artifact_of_another_format_is_refused(artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_predictor(tmp_path)
    (tmp_path / "config.json").write_text('{"format": 99}')
    with pytest.raises(ValueError, match="train the model again"):
        load_rules(tmp_path)


def test_a_vocabulary_survives_a_file_with_any_name_in_it(tmp_path: Path) -> None:
    vocabulary = Vocabulary(items=["a", "ü\u2028", "\U0001f600", ""], types=["view"])
    vocabulary.save(tmp_path / "vocabulary.json")
    loaded = Vocabulary.load(tmp_path / "vocabulary.json")
    assert loaded == vocabulary
    assert loaded.known_items(["", "b", "a"]).tolist() == [4, 1]


def test_a_subjects_vector_is_what_serving_scores_the_items_from(
    log: EventColumns, predictor: NextItemPredictor
) -> None:
    """The same history through the log's columns and through a JSON request gives the same vector, also where a case
    ends amid the history and where there is nothing before its end."""
    subject = np.array([0, 1, 2, 2, 3])
    end = log.offsets[subject + 1].copy()
    end[3] -= 2
    end[4] = log.offsets[3]
    vectors, is_known = subject_vectors(predictor, log, subject, end)
    assert is_known.tolist() == [True, True, True, True, False]
    assert not vectors[4].any()
    for case in range(4):
        rows = slice(int(log.offsets[subject[case]]), int(end[case]))
        request = NextItemRequest(
            items=[log.items[code - 1] if code else "" for code in log.item[rows]],
            types=[log.types[code] for code in log.type[rows]],
            times=log.time[rows].tolist(),
            values=[None if np.isnan(value) else float(value) for value in log.value[rows]],
            count=1,
        )
        history = read_history(request, predictor.vocabulary, limit=predictor.max_length)
        reading = predictor.scorer.model.read(predictor._batch([request], [history]))
        np.testing.assert_allclose(vectors[case], reading.pooled[0].numpy(), atol=1e-5)
