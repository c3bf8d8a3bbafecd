"""Replies: pairs and their split, drawn lists, the dual encoder, events that decide, and the whole task."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from ml.data.reply_pairs import CustomerEvent, ReplyPairs, reply_codes, reply_lists
from ml.serving.predictor import load_predictor
from ml.serving.replies import Candidate, ReplyPredictor, ReplyRequest
from ml.simulation.replies import SITUATIONS, best_accuracy_of_words, simulate_replies
from ml.tasks.registry import TASKS
from ml.tasks.replies_config import RepliesConfig
from ml.tasks.replies_training import fit_mixture

CANDIDATES = [Candidate(id=name, text=reply) for name, (_, reply) in SITUATIONS.items()]
SETTINGS = {
    "candidates": 8,
    "epochs": 6,
    "least_steps": 1,
    "batch_pairs": 64,
    "pretrained": False,
    "refit": False,
    "threads": 1,
}


def events(*kinds: str) -> list[CustomerEvent]:
    return [
        CustomerEvent(type=kind, item="article-1", time=1_700_000_000.0 + 3_600.0 * hour, value=None)
        for hour, kind in enumerate(kinds)
    ]


def asked(message: str, *kinds: str, candidates: list[Candidate] = CANDIDATES) -> ReplyRequest:
    return ReplyRequest(conversation=[message], events=events(*kinds), candidates=candidates)


@pytest.fixture(scope="module")
def pairs() -> ReplyPairs:
    return simulate_replies(2_000, generator=np.random.default_rng(1))


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory, pairs: ReplyPairs) -> Path:
    out = tmp_path_factory.mktemp("replies") / "artifact"
    report = TASKS["replies"].fit(pairs, SETTINGS, out, progress=lambda _: None)
    assert report.score > report.baselines["words"] + 0.2
    return out


@pytest.fixture(scope="module")
def predictor(artifact: Path) -> ReplyPredictor:
    loaded = load_predictor(artifact)
    assert isinstance(loaded, ReplyPredictor)
    return loaded


def test_the_same_words_get_the_reply_that_the_events_ask_for(predictor: ReplyPredictor) -> None:
    late, delivered = predictor.predict(
        [
            asked("where is it?", "order_placed", "order_delayed", "order_shipped"),
            asked("where is it?", "page_view", "order_shipped", "order_delivered"),
        ]
    )
    assert (late["replies"][0]["id"], delivered["replies"][0]["id"]) == ("shipped_late", "delivered")
    assert len(late["replies"]) == len(CANDIDATES)
    assert 0.0 < late["replies"][-1]["probability"] < late["replies"][0]["probability"] < 1.0


def test_each_event_has_its_attention(predictor: ReplyPredictor) -> None:
    (answer,) = predictor.predict([asked("where is it?", "order_placed", "order_delayed", "order_shipped")])
    assert len(answer["attention"]) == 3
    assert sum(answer["attention"]) == pytest.approx(1.0, abs=1e-5)
    (long,) = predictor.predict([asked("where is it?", *["page_view"] * 60)])
    assert long["attention"][:10] == [0.0] * 10
    assert sum(long["attention"]) == pytest.approx(1.0, abs=1e-5)


def test_without_events_and_with_unknown_ones_words_alone_decide(predictor: ReplyPredictor) -> None:
    none, unknown = predictor.predict([asked("why was my card declined?"), asked("hello", "never_seen_before")])
    assert none["attention"] == []
    assert none["replies"][0]["id"] == "payment_failed"
    assert unknown["attention"] == pytest.approx([1.0])


def test_of_messages_unlike_the_training_it_is_not_sure(predictor: ReplyPredictor) -> None:
    known, strange = predictor.predict(
        [asked(text, "order_shipped", "order_delivered") for text in ("where is it?", "Can I wash the sleeping bag?")]
    )
    assert known["familiar"] == 1.0
    assert known["replies"][0]["probability"] > 0.5
    assert strange["familiar"] < 0.4
    # The calibrated probability counts as far as the message is known.
    assert strange["replies"][0]["probability"] < strange["familiar"]


def test_a_version_of_before_that_knew_nothing_of_this_answers_as_before(artifact: Path, tmp_path: Path) -> None:
    before = Path(shutil.copytree(artifact, tmp_path / "before"))
    config = json.loads((before / "config.json").read_text())
    del config["familiar"]
    (before / "config.json").write_text(json.dumps(config))
    arrays = {name: each for name, each in load_file(before / "model.safetensors").items() if "familiar" not in name}
    save_file(arrays, before / "model.safetensors")
    loaded = load_predictor(before)
    assert isinstance(loaded, ReplyPredictor)
    assert loaded.predict([asked("Can I wash the sleeping bag?")])[0]["familiar"] == 1.0


def test_odd_messages_are_answered(predictor: ReplyPredictor) -> None:
    odd = ["", "   ", "x" * 10_000, "\ud800", "<b>hi</b>", "😀", "我的订单在哪里？ where is it?"]
    answers = predictor.predict([asked(text) for text in odd])
    assert all(np.isfinite([reply["score"] for reply in answer["replies"]]).all() for answer in answers)
    assert predictor.predict([asked("hi", candidates=[])])[0]["replies"] == []
    assert predictor.predict([]) == []


def test_a_conversation_without_a_message_is_refused(predictor: ReplyPredictor) -> None:
    with pytest.raises(ValueError, match="conversation is empty"):
        predictor.predict([ReplyRequest(conversation=[], events=[], candidates=CANDIDATES)])


def test_candidates_encoded_beforehand_rank_the_same(predictor: ReplyPredictor) -> None:
    request = asked("what about my money?", "return_sent", "return_received", "refund_issued")
    assert predictor.rank(request, predictor.encode_candidates(CANDIDATES)) == predictor.predict([request])[0]


def test_a_stored_model_answers_as_it_was_evaluated(artifact: Path, pairs: ReplyPairs) -> None:
    scores = TASKS["replies"].evaluate(artifact, pairs, since=0.0, until=float("inf"))
    assert scores["cases"] == len(pairs)
    assert scores["recall@1"] <= scores["mrr"] <= 1.0
    assert scores["recall@1"] > 0.5


def test_events_are_left_out_where_they_are_not_wanted(tmp_path: Path, pairs: ReplyPairs) -> None:
    report = TASKS["replies"].fit(pairs, {**SETTINGS, "events": False}, tmp_path / "a", progress=lambda _: None)
    assert report.counts["event_types"] == 0
    # Nothing that knows the words alone can do better, but for chance.
    assert report.test["recall@1"] < best_accuracy_of_words() + 0.1


def test_chinese_is_learned_from_the_pairs_alone(tmp_path: Path) -> None:
    wants = {"发货": "亲，您的订单今天会出库哦", "退款": "退款会在三天内原路返回", "发票": "电子发票已经发到您的邮箱"}
    starts = ["请问", "你好，", "麻烦问一下", "在吗，", "客服，", "我想知道", "急，"]
    rows = [
        (f"{start}{want}{end}", reply)
        for end in "吗呢啊呀哦嘛么了"
        for start in starts
        for want, reply in wants.items()
    ]
    pairs = ReplyPairs([[text] for text, _ in rows], [reply for _, reply in rows])
    settings = {"batch_pairs": 32, "held_out": 0.3, "candidates": 3, "threads": 1}
    report = TASKS["replies"].fit(pairs, settings, tmp_path / "a", progress=lambda _: None)
    assert "meaning" not in report.baselines
    assert report.test["recall@1"] > 0.9


def test_unusable_pairs_are_refused(tmp_path: Path, pairs: ReplyPairs) -> None:
    few = ReplyPairs(pairs.conversations[:50], pairs.replies[:50])
    with pytest.raises(ValueError, match="give more pairs"):
        TASKS["replies"].fit(few, {}, tmp_path / "a", progress=lambda _: None)
    same = replace(pairs, replies=["yes"] * len(pairs))
    with pytest.raises(ValueError, match="all the same"):
        TASKS["replies"].fit(same, {}, tmp_path / "b", progress=lambda _: None)
    with pytest.raises(ValueError, match="candidates"):
        RepliesConfig.from_dict({"candidates": 1})
    with pytest.raises(ValueError, match="conversations has 1 entries"):
        ReplyPairs([["hi"]], ["a", "b"])


def test_pairs_of_one_group_are_held_out_together() -> None:
    pairs = ReplyPairs([["q"]] * 10, list("abcdefghij"), groups=["1", "1", "2", "2", "3", "3", "1", "4", "5", "3"])
    train, chooses, judges = pairs.split(0.4)
    assert (train.tolist(), chooses.tolist(), judges.tolist()) == ([0, 1, 2, 3, 4, 5, 6, 9], [7], [8])


def test_pairs_are_written_and_read(tmp_path: Path, pairs: ReplyPairs) -> None:
    pairs.write(tmp_path / "pairs")
    assert ReplyPairs.open(tmp_path / "pairs") == pairs


@given(replies=st.lists(st.sampled_from(["a", "b", "c ", "c", "d"]), min_size=2, max_size=30), count=st.integers(2, 6))
def test_drawn_lists_hold_the_true_reply_and_no_copy_of_it(replies: list[str], count: int) -> None:
    codes = reply_codes(replies)
    if len(set(codes)) < 2:
        with pytest.raises(ValueError, match="all the same"):
            reply_lists(replies, count, seed=0)
        return
    lists = reply_lists(replies, count, seed=0)
    assert (lists[:, 0] == np.arange(len(replies))).all()
    assert (codes[lists[:, 1:]] != codes[:, None]).all()
    assert all(len(set(row)) == len(row) for row in lists.tolist())


def test_a_part_that_says_nothing_gets_no_weight() -> None:
    generator = np.random.default_rng(0)
    signals = generator.normal(size=(5_000, 10, 2))
    # One normal distribution against the other, 2 apart: the log of their ratio has slope 2.
    signals[:, 0, 0] += 2.0
    assert fit_mixture(signals) == pytest.approx([2.0, 0.0], abs=0.1)
