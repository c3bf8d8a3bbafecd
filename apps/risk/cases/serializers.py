"""Shapes of the alerts and cases API."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.identities import SubjectIdField
from api.serializers import ListParameters, StrictSerializer
from apps.risk.assessments.serializers import AssessmentReasonSerializer, RuleHitSerializer
from apps.risk.assessments.verdicts import Verdict
from apps.risk.cases.models import Alert, Case, CaseEvent, CaseStatus, Outcome
from apps.risk.cases.services import LONGEST_NOTE
from apps.risk.cases.weighed import COUNTERPARTY, CUSTOMER
from apps.risk.rules.models import RiskSeverity
from tenancy.secrets import public_subject_id

# What one call can change well within its time.
MOST_ALERTS = 200
ASSIGNEE = "any name of one of your people, a member of the console by e-mail; empty for nobody"


class AlertFilterSerializer(ListParameters):
    status = serializers.ChoiceField(
        CaseStatus.choices, required=False, help_text="what was said of the alert alone, else that of its case"
    )
    severity = serializers.ChoiceField(RiskSeverity.choices, required=False)
    since = serializers.DateTimeField(required=False, help_text="raised at this time or later")
    user_id = SubjectIdField(required=False, help_text="of the subject, as the client names it")


class CaseFilterSerializer(ListParameters):
    status = serializers.ChoiceField(CaseStatus.choices, required=False)
    severity = serializers.ChoiceField(RiskSeverity.choices, required=False)
    assignee = serializers.CharField(required=False, max_length=200)
    assigned = serializers.BooleanField(
        required=False, allow_null=True, default=None, help_text="false: those that nobody has"
    )
    overdue = serializers.BooleanField(required=False, allow_null=True, default=None)


class SubjectKeyMixin(serializers.Serializer):
    subject = serializers.SerializerMethodField(help_text="short form of the subject's keyed hash")

    @extend_schema_field(OpenApiTypes.STR)
    def get_subject(self, row: Alert | Case) -> str:
        return public_subject_id(bytes(row.subject_key))


class AlertSerializer(SubjectKeyMixin, serializers.ModelSerializer):
    case_id = serializers.UUIDField()
    case_number = serializers.IntegerField(source="case.number")
    status = serializers.ChoiceField(CaseStatus.choices, help_text="what was said of it alone, else that of its case")
    assignee = serializers.CharField(source="case.assignee", help_text="who has the case")
    version = serializers.IntegerField(source="case.version", help_text="of the case; a change says which was seen")
    verdict = serializers.ChoiceField([str(each) for each in Verdict])
    reasons = AssessmentReasonSerializer(many=True)
    rules = RuleHitSerializer(many=True)

    class Meta:
        model = Alert
        fields = (
            *("id", "transaction_id", "decision_id", "subject", "case_id", "case_number", "status", "severity"),
            *("assignee", "release_asked_by", "version"),
            *("verdict", "score", "amount", "currency", "reasons", "rules", "occurred_at", "created_at"),
        )


class WeighedEventSerializer(serializers.Serializer):
    side = serializers.ChoiceField((CUSTOMER, COUNTERPARTY), help_text="whose history it was read in")
    transaction_id = serializers.CharField(
        source="transaction.transaction_id", default=None, allow_null=True, help_text="null where it has gone since"
    )
    occurred_at = serializers.DateTimeField()
    part = serializers.FloatField(help_text="what it added to the log-odds, by integrated gradients")
    attention = serializers.FloatField(help_text="0 to 1")
    text = serializers.CharField(source="words")


class AlertWithEventsSerializer(AlertSerializer):
    events = serializers.SerializerMethodField(
        help_text="earlier transactions that raised the score most; none where no network was asked"
    )

    class Meta:
        model = Alert
        fields = (*AlertSerializer.Meta.fields, "events")

    @extend_schema_field(WeighedEventSerializer(many=True))
    def get_events(self, alert: Alert) -> Any:
        return WeighedEventSerializer(self.context["events"], many=True).data


class CaseSerializer(SubjectKeyMixin, serializers.ModelSerializer):
    overdue = serializers.BooleanField(source="is_overdue")
    merged_into = serializers.UUIDField(source="merged_into_id", allow_null=True, help_text="the case that has it now")

    class Meta:
        model = Case
        fields = (
            *("id", "number", "subject", "status", "severity", "assignee", "release_asked_by", "alert_count"),
            *("version", "opened_at", "due_at", "overdue", "closed_at", "merged_into"),
        )


class CaseEventSerializer(serializers.ModelSerializer):
    class Meta:
        model = CaseEvent
        fields = ("id", "kind", "actor", "before", "after", "note", "created_at")


class CaseChangesSerializer(StrictSerializer):
    """What can be changed of a case; `version` is the one that was seen."""

    version = serializers.IntegerField(min_value=1)
    status = serializers.ChoiceField(CaseStatus.choices, required=False)
    assignee = serializers.CharField(required=False, allow_blank=True, max_length=200, help_text=ASSIGNEE)

    def validate(self, attrs: dict) -> dict:
        if attrs.keys() == {"version"}:
            raise serializers.ValidationError("name what shall change: status, assignee or both")
        return attrs


class LinkedCaseSerializer(serializers.Serializer):
    case = CaseSerializer()
    shared = serializers.DictField(
        child=serializers.IntegerField(),
        help_text="cards, devices, addresses and counterparties of both subjects, by kind",
    )


class CaseMergeSerializer(StrictSerializer):
    version = serializers.IntegerField(min_value=1, help_text="of this case")
    case = serializers.UUIDField(help_text="id of the case whose alerts are brought over; it is closed as merged")


class AlertOutcomeSerializer(StrictSerializer):
    """What can be changed of alerts: the decision on each alone, and who has its case."""

    status = serializers.ChoiceField(Outcome.choices, required=False)
    assignee = serializers.CharField(required=False, allow_blank=True, max_length=200, help_text=ASSIGNEE)

    def validate(self, attrs: dict) -> dict:
        if not attrs.keys() & {"status", "assignee"}:
            raise serializers.ValidationError("name what shall change: status, assignee or both")
        return attrs


class AlertChangesSerializer(AlertOutcomeSerializer):
    """`version` is the one of the case that was seen."""

    version = serializers.IntegerField(min_value=1)


class AlertsChangesSerializer(AlertOutcomeSerializer):
    ids = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=MOST_ALERTS)


class AlertChangeResultSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    result = serializers.ChoiceField(("ok", "refused"))
    alert = AlertSerializer(required=False)
    reason = serializers.CharField(required=False, help_text="why it stayed as it was")


class AlertsChangedSerializer(serializers.Serializer):
    results = AlertChangeResultSerializer(many=True, help_text="one for each alert, in the order of ids")


class CaseNoteSerializer(StrictSerializer):
    note = serializers.CharField(max_length=LONGEST_NOTE)


class CaseReleaseSerializer(StrictSerializer):
    version = serializers.IntegerField(min_value=1)
    approve = serializers.BooleanField()
