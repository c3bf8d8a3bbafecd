"""The console's part of this application: scenarios, rules, searches, reasons, batches, data sufficiency."""

from apps.recommendation import admin_batches, admin_sufficiency, rule_admin, scenario_admin, search_admin  # noqa: F401
from apps.recommendation.explanation_view import explanation_context
from apps.recommendation.scenarios import APPLICATION
from console.pages.decisions import explain_decisions

explain_decisions(APPLICATION, explanation_context)
