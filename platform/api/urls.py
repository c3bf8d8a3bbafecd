"""Addresses of the API below /api/v1/."""

from django.urls import path

from api.decisions import DecisionView
from api.events import EventsView
from api.items import ItemBatchView, ItemsView, ItemView
from api.model_versions import ModelVersionsView, ModelVersionView, PromoteView, RollbackView
from api.scenario_kpi import ScenarioKpiView
from api.training_runs import CancelTrainingRunView, TrainingRunsView, TrainingRunView

urlpatterns = [
    path("events", EventsView.as_view(), name="events"),
    path("items", ItemsView.as_view(), name="items"),
    path("items/batch", ItemBatchView.as_view(), name="item-batch"),
    path("items/<path:item_id>", ItemView.as_view(), name="item"),
    path("decisions/<uuid:id>", DecisionView.as_view(), name="decision"),
    path("scenarios/<slug:key>/kpi", ScenarioKpiView.as_view(), name="scenario-kpi"),
    path("models", ModelVersionsView.as_view(), name="models"),
    path("models/<uuid:id>", ModelVersionView.as_view(), name="model"),
    path("models/<uuid:id>/promote", PromoteView.as_view(), name="promote-model"),
    path("models/<uuid:id>/rollback", RollbackView.as_view(), name="roll-back-model"),
    path("training-runs", TrainingRunsView.as_view(), name="training-runs"),
    path("training-runs/<uuid:id>", TrainingRunView.as_view(), name="training-run"),
    path("training-runs/<uuid:id>/cancel", CancelTrainingRunView.as_view(), name="cancel-training-run"),
]
