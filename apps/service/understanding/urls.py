"""Addresses of intents and understandings under /api/v1/."""

from django.urls import path

from apps.service.understanding.api import (
    IntentExamplesView,
    IntentExampleView,
    IntentProblemsView,
    IntentsView,
    IntentView,
    UnderstandingSettingsView,
    UnderstandingsView,
)

urlpatterns = [
    path("intents", IntentsView.as_view(), name="intents"),
    path("intents/<uuid:id>", IntentView.as_view(), name="intent"),
    path("intents/<uuid:id>/problems", IntentProblemsView.as_view(), name="intent-problems"),
    path("intent-examples", IntentExamplesView.as_view(), name="intent-examples"),
    path("intent-examples/<uuid:id>", IntentExampleView.as_view(), name="intent-example"),
    path("understanding-settings", UnderstandingSettingsView.as_view(), name="understanding-settings"),
    path("understandings", UnderstandingsView.as_view(), name="understandings"),
]
