"""The fields of assessments, as the API's documentation tells them; bodies are read by `transactions.reading`."""

from rest_framework import serializers

from api.events import ConsentSerializer, ReasonSerializer, SubjectSerializer
from apps.risk.assessments.verdicts import Verdict
from apps.risk.rules.models import RiskAction, RiskSeverity
from apps.risk.transactions.reading import DEFAULT_TYPE, MAX_TRANSACTION_ID

MOST_TRANSACTIONS = 1000
RESULTS = ("ok", "duplicate", "invalid")
VERDICTS = [str(verdict) for verdict in Verdict]


class LocationSerializer(serializers.Serializer):
    latitude = serializers.FloatField(min_value=-90, max_value=90)
    longitude = serializers.FloatField(min_value=-180, max_value=180)


class TransactionBodySerializer(serializers.Serializer):
    transaction_id = serializers.CharField(
        max_length=MAX_TRANSACTION_ID, help_text="your id of it; a repeated call with it gets the same answer"
    )
    subject = SubjectSerializer(help_text="the customer: user_id or anonymous_id")
    amount = serializers.FloatField(min_value=0, max_value=1e12)
    currency = serializers.RegexField("^[A-Z]{3}$", help_text="ISO 4217")
    type = serializers.RegexField("^[a-z][a-z0-9_.-]{0,63}$", default=DEFAULT_TYPE, help_text="payment, transfer, ...")
    counterparty = serializers.CharField(required=False, max_length=200, help_text="merchant, terminal or payee")
    device = serializers.CharField(required=False, max_length=200, help_text="kept as a keyed hash")
    card = serializers.CharField(required=False, max_length=200, help_text="kept as a keyed hash; send a token")
    address = serializers.CharField(required=False, max_length=200, help_text="kept as a keyed hash")
    country = serializers.RegexField("^[A-Z]{2}$", required=False, help_text="ISO 3166")
    location = LocationSerializer(required=False)
    occurred_at = serializers.DateTimeField(
        required=False, help_text="now when left out; at most 365 days back and 5 minutes ahead"
    )
    consent = ConsentSerializer(required=False)
    properties = serializers.DictField(required=False, help_text="anything else; at most 32 KB, 8 levels deep")


class BatchBodySerializer(serializers.Serializer):
    transactions = serializers.ListField(child=TransactionBodySerializer(), max_length=MOST_TRANSACTIONS)


class AssessmentReasonSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="the kind of reason, for programs")
    text = serializers.CharField()
    feature = serializers.CharField(required=False)
    value = serializers.FloatField(required=False, allow_null=True, help_text="of the feature, in this transaction")
    part = serializers.FloatField(required=False, help_text="what it adds: to the log-odds, or to the points")


class RuleHitSerializer(serializers.Serializer):
    key = serializers.CharField()
    name = serializers.CharField()
    version = serializers.IntegerField()
    action = serializers.ChoiceField(RiskAction.choices)
    severity = serializers.ChoiceField(RiskSeverity.choices)


class NoticeSerializer(serializers.Serializer):
    code = serializers.CharField(help_text="clock_ahead, out_of_order or no_rate")
    text = serializers.CharField()


class AssessmentSerializer(serializers.Serializer):
    decision_id = serializers.UUIDField()
    transaction_id = serializers.CharField()
    anomaly = serializers.FloatField(
        allow_null=True,
        help_text="share of transactions that are less unusual; null where a model of frauds answered, or none at all",
    )
    score = serializers.FloatField(help_text="probability of fraud; points of 100, as a share, where no model answered")
    verdict = serializers.ChoiceField(VERDICTS)
    reasons = AssessmentReasonSerializer(many=True)
    rules = RuleHitSerializer(many=True, help_text="rules that hit")
    model_version = serializers.UUIDField(allow_null=True)
    degraded = serializers.CharField(
        allow_null=True, help_text="previous_version, rules (a model is live and did not answer) or no_model"
    )
    occurred_at = serializers.DateTimeField()
    notices = NoticeSerializer(many=True)


class AssessmentResultSerializer(serializers.Serializer):
    transaction_id = serializers.CharField(allow_null=True)
    result = serializers.ChoiceField(RESULTS)
    assessment = AssessmentSerializer(required=False)
    errors = ReasonSerializer(many=True, required=False)  # type: ignore[assignment]


class BatchAnswerSerializer(serializers.Serializer):
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="how many had each result")
    results = AssessmentResultSerializer(many=True, help_text="one for each transaction, in their order")
