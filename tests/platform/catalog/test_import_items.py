"""A shop's export becomes its catalogue, and every row is accounted for."""

import gzip
import json
from io import StringIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.core.management import CommandError, call_command

from catalog.importing import make_item
from catalog.models import Item
from tenancy.models import Tenant
from tenancy.scope import tenant_scope

FEED = """sku,name,genres,colour,size,price,availability
1,Trail shoe,shoes|running,red,42,89.90,in stock
2,"Sock, wool",,blue,007,cheap,true
3,Hat
4,Cap,hats,,,,out of stock
"""
MAPPING = ["id=sku", "title=name", "categories=genres", "price=price", "available=availability"]
MAPPING += ["attributes.colour=colour", "attributes.size=size"]


def run(file: Path, tenant: Tenant, *options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("import_items", str(file), "--tenant", tenant.slug, "--json", *options, stdout=out)
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


def catalogue(tenant: Tenant) -> dict[str, Item]:
    with tenant_scope(tenant.id):
        return {item.item_id: item for item in Item.objects.all()}


def test_good_rows_are_stored_and_bad_ones_named(tmp_path: Path, tenant: Tenant) -> None:
    file = tmp_path / "feed.csv"
    file.write_text(FEED)

    report = run(file, tenant, "--map", *MAPPING)

    assert (report["rows"], report["ok"], report["rejected"]) == (4, 2, 2)
    assert report["bad_rows"][0] == {"row": 2, "errors": {"price": ["A valid number is required."]}}
    assert report["bad_rows"][1]["row"] == 3
    assert "has 2 cells where the header names 7" in report["bad_rows"][1]["errors"][0]
    items = catalogue(tenant)
    assert items.keys() == {"1", "4"}
    assert (items["1"].title, items["1"].categories, float(items["1"].price or 0)) == (
        "Trail shoe",
        ["shoes", "running"],
        89.9,
    )
    assert items["1"].attributes == {"colour": "red", "size": 42}
    assert (items["1"].available, items["4"].available) == (True, False)


def test_a_dry_run_reports_the_same_and_writes_nothing(tmp_path: Path, tenant: Tenant) -> None:
    file = tmp_path / "feed.csv"
    file.write_text(FEED)

    report = run(file, tenant, "--dry-run", "--map", *MAPPING)

    assert (report["ok"], report["rejected"]) == (2, 2)
    assert catalogue(tenant) == {}


def test_usual_names_need_no_mapping_and_a_second_run_changes_nothing(tmp_path: Path, tenant: Tenant) -> None:
    file = tmp_path / "feed.jsonl.gz"
    rows = [
        {"item_id": number, "name": f"Shoe {number}", "attributes": {"size": number}, "in_stock": True}
        for number in range(2500)
    ]
    file.write_bytes(gzip.compress("\n".join(json.dumps(row) for row in rows).encode()))

    first, again = run(file, tenant), run(file, tenant)

    assert first["mapping"] == {"id": "item_id", "title": "name", "available": "in_stock", "attributes": "attributes"}
    assert first["ok"] == again["ok"] == 2500
    items = catalogue(tenant)
    assert len(items) == 2500
    assert items["17"].attributes == {"size": 17}


def test_parquet_keeps_its_types(tmp_path: Path, tenant: Tenant) -> None:
    file = tmp_path / "feed.parquet"
    table = {"id": ["a", "b"], "price": [19.990000001, None], "categories": [["x", "y"], []], "vegan": [True, None]}
    pq.write_table(pa.table(table), file)

    run(file, tenant, "--map", "id=id", "price=price", "categories=categories", "attributes.vegan=vegan")

    items = catalogue(tenant)
    assert (str(items["a"].price), items["a"].categories, items["a"].attributes) == (
        "19.99",
        ["x", "y"],
        {"vegan": True},
    )
    assert (items["b"].price, items["b"].categories, items["b"].attributes) == (None, [], {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "id=nr"], "the file has no column 'nr'; found: a, b"),
        (["--map", "colour=a"], "'colour' is not a field; fields are id, title"),
        ([], "no column for id; name it with --map id=COLUMN. Found: a, b"),
        (["--map", "id"], "write --map field=column"),
    ],
)
def test_an_import_that_cannot_work_does_not_start(
    tmp_path: Path, tenant: Tenant, options: list[str], message: str
) -> None:
    file = tmp_path / "feed.csv"
    file.write_text("a,b\n1,2\n")

    with pytest.raises(CommandError) as refused:
        run(file, tenant, *options)

    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("4.5", 4.5),
        ("007", "007"),
        ("1e5", "1e5"),
        ("nan", "nan"),
        ("true", True),
        ('["a", 1]', ["a", 1]),
        ("[a", "[a"),
    ],
)
def test_a_cell_of_text_is_read_as_what_it_is(text: str, value: Any) -> None:
    assert make_item({"attributes.x": text}, "|") == {"attributes": {"x": value}}
