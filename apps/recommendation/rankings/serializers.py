"""Shapes of the rankings API: what is refused, and how it is documented."""

import re
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.serializers import ObjectField, StrictSerializer
from apps.recommendation.rankings.features import RankingCandidate
from apps.recommendation.rankings.services import DEFAULT_SCENARIO, Ranking
from apps.recommendation.serializers import SubjectField
from behavior.parsing import Invalid, json_type, parse_id, parse_number
from catalog.serializers import ItemIdField

MOST_CANDIDATES = 500
MOST_FEATURES = 20
MOST_CHARACTERS = 500
FEATURE_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class RankingCandidateSerializer(serializers.Serializer):
    id = ItemIdField()
    score = serializers.FloatField(
        required=False, allow_null=True, help_text="The client's own score, such as BM25; higher is better."
    )
    features = serializers.DictField(
        child=serializers.FloatField(),
        required=False,
        help_text=f"Numbers of the client's own that the re-ranker may learn from, at most {MOST_FEATURES} names.",
    )


@extend_schema_field(
    serializers.ListField(child=RankingCandidateSerializer(), min_length=1, max_length=MOST_CANDIDATES)
)
class CandidatesField(serializers.Field):
    """Read by hand: a serializer for each of 500 candidates would take longer than ranking them."""

    def to_internal_value(self, data: Any) -> list[RankingCandidate]:
        if not isinstance(data, list):
            raise serializers.ValidationError(f"must be a list, not {json_type(data)}", code="wrong_type")
        if not 1 <= len(data) <= MOST_CANDIDATES:
            raise serializers.ValidationError(f"has {len(data)} entries; send 1 to {MOST_CANDIDATES}", code="length")
        problems: dict[Any, Any] = {}
        candidates: dict[str, RankingCandidate] = {}
        for number, raw in enumerate(data):
            try:
                candidate = _read_candidate(raw)
            except serializers.ValidationError as error:
                problems[number] = error.detail
                continue
            if candidate.item_id in candidates:
                problems[number] = {"id": ["is there twice; send each candidate once"]}
            candidates[candidate.item_id] = candidate
        if problems:
            raise serializers.ValidationError(problems)
        names = {name for each in candidates.values() for name in each.features}
        if len(names) > MOST_FEATURES:
            raise serializers.ValidationError(f"have {len(names)} names of features; send at most {MOST_FEATURES}")
        return list(candidates.values())


def _read_candidate(raw: Any) -> RankingCandidate:
    if not isinstance(raw, dict):
        raise serializers.ValidationError(f"must be an object, not {json_type(raw)}", code="wrong_type")
    if unknown := sorted(raw.keys() - {"id", "score", "features"}):
        raise serializers.ValidationError({name: ["is not a field; known are id, score, features"] for name in unknown})
    if raw.get("id") is None:
        raise serializers.ValidationError({"id": ["is missing"]})
    features = raw.get("features") or {}
    if not isinstance(features, dict):
        raise serializers.ValidationError({"features": [f"must be an object, not {json_type(features)}"]})
    for name in features:
        if not FEATURE_NAME.fullmatch(name):
            message = "a name must start with a-z and hold only a-z, 0-9 and _, at most 40 characters"
            raise serializers.ValidationError({"features": [message]})
    at = "id"
    try:
        item_id = parse_id(raw["id"])
        at = "score"
        score = None if raw.get("score") is None else parse_number(raw["score"])
        at = "features"
        return RankingCandidate(item_id, score, {name: parse_number(value) for name, value in features.items()})
    except Invalid as problem:
        raise serializers.ValidationError({at: [problem.message]}, code=problem.code) from None


class RankingAskSerializer(StrictSerializer):
    """A request for a ranking of the client's own candidates."""

    scenario = serializers.SlugField(max_length=50, required=False, default=DEFAULT_SCENARIO)
    subject = SubjectField()
    query = serializers.CharField(
        required=False, allow_blank=True, max_length=MOST_CHARACTERS, help_text="What the subject searched for."
    )
    candidates = CandidatesField(
        help_text="Best first where no scores are given, else in any order: the scores decide about the client's order."
    )
    count = serializers.IntegerField(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=MOST_CANDIDATES,
        help_text="null: all that may be shown.",
    )
    context = ObjectField(  # type: ignore[assignment]
        required=False, help_text="What the client knows of the moment; kept with the decision."
    )
    explain = serializers.BooleanField(
        required=False, default=False, help_text="true adds reasons and the parts of each score."
    )
    keep_unavailable = serializers.BooleanField(
        required=False, default=False, help_text="true keeps items that are hidden or out of stock."
    )


class RankingReasonSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="matches: words of the query; because_of: an event of the subject.")
    text = serializers.CharField(help_text="In words for the subject.")
    weight = serializers.FloatField(
        help_text="0 to 1; share of the query's words, or of the next-item model's score that the event accounts for."
    )
    item_id = serializers.CharField(required=False)
    event_type = serializers.CharField(required=False)
    event_id = serializers.UUIDField(required=False)


class RankedItemSerializer(serializers.Serializer):
    id = serializers.CharField()
    rank = serializers.IntegerField(help_text="From 1.")
    score = serializers.FloatField(help_text="Compares within this list alone.")
    propensity = serializers.FloatField(help_text="Probability of this item at this rank under the policy.")
    reasons = RankingReasonSerializer(many=True, help_text="With explain.")
    rules = serializers.ListField(child=serializers.CharField(), help_text="None touch a ranking.")
    parts = serializers.DictField(
        child=serializers.FloatField(), required=False, help_text="With explain: what adds up to the score, by feature."
    )


class RankingSerializer(serializers.Serializer):
    """The answer. Send decision_id back with the clicks and purchases that follow: the re-ranker learns from them."""

    decision_id = serializers.UUIDField()
    scenario = serializers.CharField()
    kind = serializers.CharField()
    model_version = serializers.UUIDField(allow_null=True)
    policy = serializers.CharField()
    experiment = serializers.CharField(allow_null=True)
    degraded = serializers.CharField(
        allow_null=True,
        help_text="null: the trained re-ranker answered. Else what stood in for it or for one of its parts: "
        "previous_version, rules, fused (client and next-item model), client_order, or empty.",
    )
    notice = serializers.CharField(allow_null=True)
    items = RankedItemSerializer(many=True)
    dropped_ids = serializers.ListField(
        child=serializers.CharField(), help_text="Candidates that may not be shown now, in the client's order."
    )
    next_cursor = serializers.CharField(allow_null=True)


def present_ranking(answer: Ranking) -> dict[str, Any]:
    dropped = len(answer.dropped_ids)
    return {
        "decision_id": answer.decision_id,
        "scenario": answer.scenario.key,
        "kind": answer.scenario.kind,
        "model_version": answer.model_version,
        "policy": answer.policy,
        "experiment": None,
        "degraded": answer.degraded,
        "notice": f"{dropped} of the candidates may not be shown, see dropped_ids" if dropped else None,
        "items": answer.items,
        "dropped_ids": answer.dropped_ids,
        "next_cursor": None,
    }
