"""All tables of the application; each topic keeps its own."""

from apps.risk.back_tests.models import BackTest
from apps.risk.cases.models import Alert, Case, CaseEvent
from apps.risk.lists.models import EntityList, ListChange, ListEntry
from apps.risk.monitoring.models import Monitoring, ShadowScore
from apps.risk.notifications.models import Digest
from apps.risk.rules.models import RiskRule, RiskRuleChange, RuleHits
from apps.risk.transactions.models import Label, Transaction

__all__ = [
    "Alert",
    "BackTest",
    "Case",
    "CaseEvent",
    "Digest",
    "EntityList",
    "Label",
    "ListChange",
    "ListEntry",
    "Monitoring",
    "RiskRule",
    "RiskRuleChange",
    "RuleHits",
    "ShadowScore",
    "Transaction",
]
