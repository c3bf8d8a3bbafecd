"""The gate: a version answers only when it is better than what needs no training, and than what answers now."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.data.columns import EventColumns
from serving import engine, gate
from serving.gate import Incumbent, Verdict, judge

Judge = Callable[..., Verdict]
TEST_TIME = 1_700_000_000 + 13 * 3600


@pytest.fixture
def judged(artifact: Path, log_columns: EventColumns) -> Judge:
    """judged(score=, baselines=, incumbent=) gives the verdict on a report with these figures."""

    def judged(
        score: float = 0.5, baselines: dict[str, float] | None = None, incumbent: Incumbent | None = None, **split: Any
    ) -> Verdict:
        report = {
            "metric": "ndcg@10",
            "score": score,
            "baselines": {"popularity": 0.1, "sequential_rules": 0.4} if baselines is None else baselines,
            "split": {"test_time": TEST_TIME} | split,
        }
        return judge(task="next_item", artifact=artifact, report=report, columns=log_columns, incumbent=incumbent)

    return judged


def refusals(verdict: Verdict) -> list[str]:
    return [reason for reason in verdict.reasons if reason.startswith("refused")]


def test_a_model_above_both_baselines_passes_with_figures(judged: Judge) -> None:
    verdict = judged()
    assert verdict.passed
    assert verdict.reasons[0] == "passed: ndcg@10 0.5000 against 0.1000 of the untrained baseline popularity"
    assert verdict.metrics["predict_p99_ms"] > 0


@pytest.mark.parametrize("score", [0.39, 0.4])
def test_a_model_at_or_below_a_baseline_is_refused(judged: Judge, score: float) -> None:
    verdict = judged(score=score)
    assert not verdict.passed
    assert refusals(verdict) == [
        f"refused: ndcg@10 {score:.4f} against 0.4000 of the untrained baseline sequential_rules"
    ]


def test_a_score_that_is_no_number_is_refused(judged: Judge) -> None:
    assert not judged(score=float("nan")).passed


def test_an_equal_of_the_live_version_is_refused(judged: Judge, artifact: Path, log_columns: EventColumns) -> None:
    verdict = judged(incumbent=Incumbent("version 3", artifact, log_columns, TEST_TIME))
    newest = verdict.metrics["newest_holdout"]
    assert newest["candidate"] == newest["incumbent"]
    assert [reason for reason in refusals(verdict) if "version 3 on the newest holdout" in reason]
    # On the old holdout it is enough not to be worse.
    assert len(refusals(verdict)) == 1


def test_without_the_old_data_the_verdict_says_what_was_not_compared(judged: Judge, artifact: Path) -> None:
    verdict = judged(incumbent=Incumbent("version 3", artifact, None, None))
    assert verdict.reasons[-2] == "not compared: the holdout of version 3 is no longer there"


def test_a_live_version_that_cannot_be_loaded_stands_in_nobodys_way(judged: Judge, tmp_path: Path) -> None:
    verdict = judged(incumbent=Incumbent("version 3", tmp_path, None, None, flaw=engine.flaw_of(tmp_path)))
    assert verdict.passed
    [reason] = [reason for reason in verdict.reasons if "version 3" in reason]
    assert reason.startswith("not compared: version 3 cannot be loaded (")
    assert "config.json" in reason


def test_without_a_newest_holdout_there_is_no_comparison_and_no_promotion(judged: Judge, artifact: Path) -> None:
    verdict = judged(incumbent=Incumbent("version 3", artifact, None, None), test_time=None)
    assert not verdict.passed
    assert "use global_time" in refusals(verdict)[0]


def test_a_model_that_is_too_slow_is_refused(judged: Judge, settings: Any) -> None:
    settings.GATEWAY_DEADLINE = 0.00002
    verdict = judged()
    assert not verdict.passed
    assert "budget 0 ms" in refusals(verdict)[0]


def test_latency_is_measured_on_subjects_of_the_log(artifact: Path, log_columns: EventColumns) -> None:
    assert 0 < gate.measure_latency("next_item", artifact, log_columns) < 1000
