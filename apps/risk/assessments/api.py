"""POST /api/v1/risk/assessments: a transaction in, a verdict out."""

from collections import Counter
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import CONTENT_TYPE, Conflict
from api.schema import ProblemSerializer
from apps.risk.assessments.selectors import UnknownTransaction, find_answer
from apps.risk.assessments.serializers import (
    MOST_TRANSACTIONS,
    RESULTS,
    AssessmentSerializer,
    BatchAnswerSerializer,
    BatchBodySerializer,
    TransactionBodySerializer,
)
from apps.risk.assessments.services import Outcome, assess, assess_each
from apps.risk.bodies import read_json, read_list, refusal
from apps.risk.transactions.reading import BadTransaction, NewTransaction, read_transaction
from apps.risk.transactions.services import MessageIdTaken

READ, WRITE = "risk:read", "risk:write"
TRANSACTION = {
    "transaction_id": "t-1001",
    "subject": {"user_id": "u-17"},
    "amount": 249.9,
    "currency": "EUR",
    "type": "payment",
    "counterparty": "terminal-81",
    "device": "d-4f2a",
    "country": "DE",
    "location": {"latitude": 52.52, "longitude": 13.4},
    "properties": {"channel": "web"},
}
ANSWER = {
    "decision_id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11",
    "transaction_id": "t-1001",
    "score": 0.31,
    "anomaly": None,
    "verdict": "review",
    "reasons": [
        {
            "code": "amount_far_above_usual",
            "text": "the amount is 6.0 times this customer's 30-day mean",
            "feature": "amount_to_customer_mean_30d",
            "value": 6.0,
            "part": 0.3,
        }
    ],
    "rules": [],
    "model_version": None,
    "degraded": "no_model",
    "occurred_at": "2026-11-24T09:30:00Z",
    "notices": [],
}
CONFLICT = "Another transaction is stored under this transaction_id; the detail names the field that differs"


class AssessmentsView(APIView):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="assess_transaction",
        tags=["risk"],
        summary="Assess a transaction",
        description="The transaction is stored, joins the behaviour log as an event, and gets its verdict at once. The "
        "same call again gets the same answer.",
        request=TransactionBodySerializer,
        responses={
            201: AssessmentSerializer,
            200: OpenApiResponse(AssessmentSerializer, "It was assessed before; this is the answer that it got then"),
            (409, CONTENT_TYPE): OpenApiResponse(ProblemSerializer, CONFLICT),
        },
        examples=[
            OpenApiExample("a payment", TRANSACTION, request_only=True),
            OpenApiExample("its verdict", ANSWER, response_only=True, status_codes=["201"]),
        ],
    )
    def post(self, request: Request) -> Response:
        try:
            transaction = read_transaction(read_json(request), now=timezone.now())
        except BadTransaction as error:
            raise refusal(error.reasons) from error
        try:
            (outcome,) = assess([transaction])
        except MessageIdTaken as error:
            raise Conflict(str(error)) from error
        if outcome.answer is None:
            assert outcome.reason is not None
            if outcome.conflict:
                raise Conflict(f"{outcome.reason['field']} {outcome.reason['message']}")
            raise refusal([outcome.reason])
        return Response(outcome.answer.to_dict(), status=201 if outcome.is_new else 200)


class AssessmentBatchView(APIView):
    required_scopes = {"POST": WRITE}

    @extend_schema(
        operation_id="assess_transactions",
        tags=["risk"],
        summary="Assess many transactions",
        description=f"Up to {MOST_TRANSACTIONS:,}, each judged on its own: `ok` is new, `duplicate` was assessed "
        "before and has the answer that it got then, `invalid` is not stored and says why. Those of one call are part "
        "of each other's history by their times.",
        request=BatchBodySerializer,
        responses=BatchAnswerSerializer,
        examples=[
            OpenApiExample("two payments", {"transactions": [TRANSACTION, TRANSACTION | {"transaction_id": "t-1002"}]})
        ],
    )
    def post(self, request: Request) -> Response:
        now = timezone.now()
        raws = read_list(read_json(request), "transactions", MOST_TRANSACTIONS)
        results: list[dict[str, Any]] = [{} for _ in raws]
        good: dict[int, NewTransaction] = {}
        for number, raw in enumerate(raws):
            try:
                good[number] = read_transaction(raw, now=now)
            except BadTransaction as error:
                results[number] = _invalid(_name(raw), error.reasons)
        for number, outcome in zip(good, assess_each(list(good.values())), strict=True):
            results[number] = _result(outcome)
        found = Counter(result["result"] for result in results)
        return Response({"counts": {name: found[name] for name in RESULTS}, "results": results})


class AssessmentView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="get_assessment",
        tags=["risk"],
        summary="The answer that a transaction got",
        responses=AssessmentSerializer,
    )
    def get(self, request: Request, transaction_id: str) -> Response:
        try:
            return Response(find_answer(transaction_id).to_dict())
        except UnknownTransaction as error:
            raise NotFound(str(error)) from error


def _result(outcome: Outcome) -> dict[str, Any]:
    if outcome.answer is None:
        assert outcome.reason is not None
        return _invalid(outcome.transaction_id, [outcome.reason])
    result = "ok" if outcome.is_new else "duplicate"
    return {"transaction_id": outcome.transaction_id, "result": result, "assessment": outcome.answer.to_dict()}


def _invalid(name: str | None, reasons: list[dict[str, str]]) -> dict[str, Any]:
    return {"transaction_id": name, "result": "invalid", "errors": reasons}


def _name(raw: Any) -> str | None:
    """The id that an unusable transaction gives itself, if it can be told back."""
    name = raw.get("transaction_id") if isinstance(raw, dict) else None
    return name[:200].encode(errors="backslashreplace").decode() if isinstance(name, str) else None
