"""Look and navigation of the operator console (the settings that the theme reads)."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.module_loading import import_string


def page(title: str, icon: str, view: str) -> dict[str, Any]:
    """An entry of the sidebar; it shows when the operator's role may see its page."""
    link = reverse_lazy(f"admin:{view}")
    # Found by name at run time, because settings are read before any model can be imported.
    return {
        "title": title,
        "icon": icon,
        "link": link,
        "permission": lambda request: import_string("console.navigation.may_open")(request, link),
    }


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Sequitur",
    "SITE_HEADER": "console.navigation.header",
    "SITE_SUBHEADER": "console.navigation.subheader",
    "SITE_DROPDOWN": "console.navigation.tenants",
    "SITE_SYMBOL": "sync_alt",
    "SITE_URL": None,
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("console/favicon.svg")},
    ],
    "STYLES": [lambda request: static("console/console.css")],
    "COLORS": {
        "primary": {
            "50": "oklch(98.4% .014 180.7)",
            "100": "oklch(95.3% .051 180.8)",
            "200": "oklch(91% .096 180.4)",
            "300": "oklch(85.5% .138 181.1)",
            "400": "oklch(77.7% .152 181.9)",
            "500": "oklch(62% .118 184.7)",
            "600": "oklch(52% .097 185)",
            "700": "oklch(45% .082 186.4)",
            "800": "oklch(40% .068 188.2)",
            "900": "oklch(36% .056 188.4)",
            "950": "oklch(27.7% .046 192.5)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "navigation": [
            {"items": [page("Dashboard", "space_dashboard", "index")]},
            {
                "title": "Data",
                "items": [
                    page("Events", "bolt", "behavior_event_changelist"),
                    page("Identities", "link", "behavior_identitylink_changelist"),
                    page("Quarantine", "report", "behavior_quarantine_changelist"),
                    page("Data quality", "fact_check", "behavior_cleaningreport_changelist"),
                    page("Imports", "upload_file", "behavior_import_changelist"),
                    page("Items", "inventory_2", "catalog_item_changelist"),
                    page("Saved filters", "filter_alt", "catalog_savedfilter_changelist"),
                    page("Search", "search", "catalog_itemtext_changelist"),
                ],
            },
            {
                "title": "Decisions",
                "items": [
                    page("Scenarios", "tune", "decisions_scenario_changelist"),
                    page("Decisions", "fork_right", "decisions_decision_changelist"),
                ],
            },
            {
                "title": "Recommendation",
                "items": [
                    page("Rules", "rule", "recommendation_rule_changelist"),
                    page("Batches", "outgoing_mail", "recommendation_batch_changelist"),
                    page("Data sufficiency", "fact_check", "recommendation_scenariodata_changelist"),
                ],
            },
            {
                "title": "Service",
                "items": [
                    page("Inbox", "inbox", "service_conversation_changelist"),
                    page("Reports", "monitoring", "service_servicereport_changelist"),
                    page("Replies", "quickreply", "service_reply_changelist"),
                    page("Reply backends", "dns", "service_replybackend_changelist"),
                    page("Experiments", "science", "service_experiment_changelist"),
                    page("Knowledge", "menu_book", "service_source_changelist"),
                    page("Knowledge search", "quick_reference_all", "service_chunk_changelist"),
                    page("Knowledge imports", "upload_file", "service_knowledgeimport_changelist"),
                    page("Intents", "psychology_alt", "service_intent_changelist"),
                    page("Settings", "tune", "service_servicereport_settings"),
                ],
            },
            {
                "title": "Risk",
                "items": [
                    page("Cases", "cases", "risk_case_changelist"),
                    page("Labels", "label", "risk_label_changelist"),
                    page("Rules", "rule", "risk_riskrule_changelist"),
                    page("Lists", "list_alt", "risk_entitylist_changelist"),
                    page("Monitoring", "monitoring", "risk_monitoring_changelist"),
                    page("Settings", "tune", "risk_monitoring_settings"),
                    page("Daily e-mail", "mail", "risk_digest_changelist"),
                ],
            },
            {
                "title": "Ads",
                "items": [
                    page("Campaigns", "campaign", "ads_campaign_changelist"),
                    page("Flights", "flight_takeoff", "ads_flight_changelist"),
                    page("Creatives", "image", "ads_creative_changelist"),
                    page("Placements", "dashboard", "ads_placement_changelist"),
                    page("Advertisers", "storefront", "ads_advertiser_changelist"),
                    page("Audiences", "groups", "ads_audience_changelist"),
                    page("Experiments", "science", "ads_experiment_changelist"),
                    page("Report", "monitoring", "ads_adreport_changelist"),
                    page("Auctions", "gavel", "ads_addecision_changelist"),
                    page("Ledger", "account_balance", "ads_reconciliation_changelist"),
                    page("Settings", "tune", "ads_adreport_settings"),
                ],
            },
            {
                "title": "Models",
                "items": [
                    page("Training runs", "model_training", "serving_trainingrun_changelist"),
                    page("Model versions", "deployed_code", "serving_modelversion_changelist"),
                ],
            },
            {
                "title": "Access",
                "items": [
                    page("Business", "storefront", "tenancy_tenant_changelist"),
                    page("Members", "group", "tenancy_membership_changelist"),
                    page("API keys", "key", "tenancy_apikey_changelist"),
                    page("Webhooks", "webhook", "webhooks_webhook_changelist"),
                    page("Webhook deliveries", "outbox", "webhooks_webhookdelivery_changelist"),
                ],
            },
        ],
    },
}
