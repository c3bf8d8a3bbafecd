"""Addresses of the API below /api/v1/."""

from django.urls import path

from api.decisions import DecisionView
from api.events import EventsView
from api.identities import (
    IdentitiesView,
    IdentityLinksView,
    IdentityLinkView,
    IdentityMergesView,
    IdentityMergeView,
)
from api.items import ItemBatchView, ItemsView, ItemView
from api.model_versions import ModelVersionsView, ModelVersionView, PromoteView, RollbackView
from api.saved_filters import SavedFiltersView, SavedFilterView
from api.scenario_kpi import ScenarioKpiView
from api.training_runs import CancelTrainingRunView, TrainingRunsView, TrainingRunView

urlpatterns = [
    path("events", EventsView.as_view(), name="events"),
    path("identities", IdentitiesView.as_view(), name="identities"),
    path("identities/links", IdentityLinksView.as_view(), name="identity-links"),
    path("identities/links/<uuid:id>", IdentityLinkView.as_view(), name="identity-link"),
    path("identities/merges", IdentityMergesView.as_view(), name="identity-merges"),
    path("identities/merges/<uuid:id>", IdentityMergeView.as_view(), name="identity-merge"),
    path("items", ItemsView.as_view(), name="items"),
    path("items/batch", ItemBatchView.as_view(), name="item-batch"),
    path("items/<path:item_id>", ItemView.as_view(), name="item"),
    path("filters", SavedFiltersView.as_view(), name="saved-filters"),
    path("filters/<slug:key>", SavedFilterView.as_view(), name="saved-filter"),
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
