"""The console's part of this application: scenarios, rules, searches, reasons, batches, data sufficiency."""

from apps.recommendation import scenario_admin  # noqa: F401
from apps.recommendation.batches import admin as admin_batches  # noqa: F401
from apps.recommendation.explanations.view import explanation_context
from apps.recommendation.rules import admin as rule_admin  # noqa: F401
from apps.recommendation.scenarios import APPLICATION
from apps.recommendation.searches import admin as search_admin  # noqa: F401
from apps.recommendation.sufficiency import admin as admin_sufficiency  # noqa: F401
from console.pages.decisions import explain_decisions

explain_decisions(APPLICATION, explanation_context)
