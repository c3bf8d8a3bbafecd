"""What a training run learns of the items from the catalogue."""

import json
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings

from catalog.selectors import describe_items, find_items
from catalog.services import upsert_items
from ml.data.columns import EventColumns
from ml.data.item_features import value_codes
from serving import item_features
from serving.artifacts import resolve_artifact
from serving.models import ModelVersion, RunStatus
from serving.selectors import live_version
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.platform.serving.conftest import ITEMS, fill_log, write_log
from tests.platform.serving.test_continual_training import train, version_of


def fill_catalogue(tenant: Tenant) -> None:
    rows = [
        {
            "id": item,
            "title": f"Item {number}",
            "description": "Very useful.",
            "brand": "odd" if number % 2 else "even",
            "categories": ["all", f"only-{number}"],
            "attributes": {"color": ["red", "blue"] if number % 3 else "red", "size": number, "new": True},
        }
        for number, item in enumerate(ITEMS[:-1])
    ]
    with tenant_scope(tenant.id):
        upsert_items([*rows, {"id": "never-seen", "brand": "even"}])


@pytest.fixture
def columns(tmp_path: Path) -> EventColumns:
    return write_log(tmp_path / "columns", subjects=20)


def test_the_catalogue_is_written_beside_the_log(tenant: Tenant, columns: EventColumns) -> None:
    fill_catalogue(tenant)
    with tenant_scope(tenant.id):
        item_features.write(columns.path)
    features = columns.features()
    assert features is not None
    # Numbers are no names, and what a single item has says nothing.
    assert features.names == {
        "attributes.color": ["blue", "red"],
        "attributes.new": ["True"],
        "brand": ["even", "odd"],
        "category": ["all"],
    }
    pairs = list(value_codes(features.names))
    first = [pairs[code] for code in features.code[features.offsets[1] : features.offsets[2]]]
    assert sorted(first) == [
        ("attributes.color", "blue"),
        ("attributes.color", "red"),
        ("attributes.new", "True"),
        ("brand", "odd"),
        ("category", "all"),
    ]
    assert features.texts is not None
    assert features.texts[1] == "Item 1\nVery useful."
    assert features.texts[-1] == ""
    assert np.diff(features.offsets)[-1] == 0


def test_only_changed_items_are_read_again(tenant: Tenant) -> None:
    with tenant_scope(tenant.id):
        upsert_items([{"id": "old"}, {"id": "changed"}])
    with tenant_scope(tenant.id):
        upsert_items([{"id": "changed", "brand": "North"}, {"id": "new"}])
        since = find_items(["new"])["new"].updated_at
        assert [item.item_id for item in describe_items(changed_since=since)] == ["changed", "new"]


def test_without_a_catalogue_nothing_is_written(tenant: Tenant, columns: EventColumns) -> None:
    with tenant_scope(tenant.id):
        item_features.write(columns.path)
    assert columns.features() is None
    assert item_features.with_inputs({"epochs": 2}, columns, None) == {"epochs": 2}


def test_what_the_configuration_says_of_inputs_holds(tenant: Tenant, columns: EventColumns) -> None:
    fill_catalogue(tenant)
    with tenant_scope(tenant.id):
        item_features.write(columns.path)
    assert item_features.with_inputs({}, columns, None)["inputs"] == ["type", "gap", "value", "attributes"]
    assert item_features.with_inputs({"inputs": []}, columns, None)["inputs"] == []


@pytest.mark.slow
def test_a_run_reads_the_catalogue_and_a_warm_start_reads_what_it_goes_on_from(tenant: Tenant) -> None:
    fill_log(tenant, subjects=150)
    plain = version_of(tenant, train(tenant, epochs=10))
    fill_catalogue(tenant)
    again = train(tenant, warm_start=True, epochs=1)
    assert again.status == RunStatus.SUCCEEDED, again.error
    assert inputs_of(tenant, plain) == inputs_of(tenant, version_of(tenant, again)) == ["type", "gap", "value"]
    fresh = train(tenant, epochs=10)
    assert "attributes" in inputs_of(tenant, version_of(tenant, fresh))
    with tenant_scope(tenant.id):
        assert live_version("next-item") is not None


@pytest.mark.slow
def test_texts_are_read_where_the_run_asks_for_them(tenant: Tenant) -> None:
    fill_log(tenant, subjects=40)
    fill_catalogue(tenant)
    run = train(tenant, epochs=1, inputs=["text"], text_encoder="fine_tuned", text_steps=1)
    folder = resolve_artifact(tenant.id, version_of(tenant, run).artifact)
    assert (folder / "text_encoder" / "model.safetensors").exists()
    assert (settings.SNAPSHOTS / str(tenant.id) / "item_texts.sqlite").exists()


def inputs_of(tenant: Tenant, version: ModelVersion) -> list[str]:
    folder = resolve_artifact(tenant.id, version.artifact)
    inputs: list[str] = json.loads((folder / "config.json").read_text())["network"]["inputs"]
    return inputs
