"""There is something to learn beyond popularity and beyond what followed the last items."""

from datetime import UTC, datetime

import numpy as np
import pytest

from ml.evaluation.ranking import ndcg, pessimistic_ranks
from ml.evaluation.rules import count_rules, popularity
from ml.simulation import World, WorldConfig

END = datetime(2026, 3, 1, tzinfo=UTC)
CASES = 600
WINDOW = 10


@pytest.mark.parametrize("theme", ["outdoor", "grocery"])
def test_who_knows_the_truth_ranks_far_better_than_sequential_rules(theme):
    config = getattr(WorldConfig, theme)()
    world = World(config, seed=3)
    histories = view_histories(world)
    train_end = max(time for history in histories.values() for time, _ in history) - 6 * 86_400
    items = len(world.item_ids)
    trained = [
        (subject, code)
        for subject, history in enumerate(histories.values())
        for time, code in history
        if time < train_end
    ]
    subject, code = (np.array(column) for column in zip(*trained, strict=True))
    rules = count_rules(code, subject, items=items)

    recent = np.zeros((CASES, WINDOW), dtype=np.int64)
    truth = np.zeros((CASES, items))
    target = np.zeros(CASES, dtype=np.int64)
    for row, (subject_id, position) in enumerate(sample_cases(histories, train_end)):
        history = histories[subject_id]
        before = [code for _, code in history[max(0, position - WINDOW) : position]][::-1]
        recent[row, : len(before)] = before
        time, next_code = history[position]
        target[row] = next_code - 1
        new_visit = time - history[position - 1][0] > 3_600
        truth[row] = world.next_item_probabilities(
            subject_id,
            datetime.fromtimestamp(time, UTC),
            last_item_id=None if new_visit else world.item_ids[before[0] - 1],
        )
    recency = np.tile(1.0 / np.arange(1, WINDOW + 1), (CASES, 1)).astype(np.float32)
    by_rules = rules.scores(recent, recency) + 1e-3 * popularity(code, items=items)

    rules_score = ndcg(pessimistic_ranks(by_rules, target), 10).mean()
    truth_score = ndcg(pessimistic_ranks(truth, target), 10).mean()
    assert rules_score > 0.1
    assert truth_score > 1.8 * rules_score
    np.testing.assert_allclose(truth.sum(axis=1), 1.0)


def view_histories(world: World) -> dict[str, list[tuple[float, int]]]:
    """(time, item code from 1) of each known subject's views, oldest first."""
    code = {item_id: index for index, item_id in enumerate(world.item_ids, start=1)}
    histories: dict[str, list[tuple[float, int]]] = {subject_id: [] for subject_id in world.subject_ids}
    for event in world.events(end=END):
        subject_id = event["subject"].get("user_id") or event["subject"]["anonymous_id"]
        in_order = event["created_at"] < END.isoformat() and event["created_at"] > "2020"
        if event["type"] == "view" and event["item_id"] and subject_id in histories and in_order:
            time = datetime.fromisoformat(event["created_at"]).timestamp()
            histories[subject_id].append((time, code[event["item_id"]]))
    return histories


def sample_cases(histories: dict[str, list[tuple[float, int]]], train_end: float) -> list[tuple[str, int]]:
    cases = [
        (subject_id, position)
        for subject_id, history in histories.items()
        for position in range(1, len(history))
        if history[position][0] >= train_end
    ]
    chosen = np.random.default_rng(0).choice(len(cases), CASES, replace=False)
    return [cases[index] for index in chosen]
