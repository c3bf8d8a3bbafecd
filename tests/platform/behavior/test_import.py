"""import_events: every row of a file is accounted for, once, however often and wherever the import is cut off."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from behavior.importing.importer import import_file, open_source
from behavior.importing.mapping import make_mapping
from behavior.importing.readers import open_reader
from behavior.models import Event, Import, Quarantine
from behavior.selectors import popular_items
from behavior.services import replay
from tenancy.scope import tenant_scope
from tests.database import closed_to_newcomers
from tests.processes import ROOT
from tests.waiting import until

ROWS = [
    ("0", "i1", "view", "1433221969"),
    ("1", "i2", "cart", "1433221970"),
    ("1", "i2", "cart", "1433221970"),
    ("2", 'größe, "42"', "purchase", "1433221971"),
]
COUNTS = ("rows", "ok", "duplicate", "quarantined", "rejected")


@pytest.fixture
def run(tenant) -> Callable[..., dict[str, Any]]:
    """run(file, ...) imports into the test's tenant and gives the report."""

    def run(file: Path, **options: Any) -> dict[str, Any]:
        out = io.StringIO()
        call_command("import_events", file, tenant=tenant.slug, json=True, stdout=out, **options)
        report = json.loads(out.getvalue())
        assert report["rows"] == report["ok"] + report["duplicate"] + report["quarantined"] + report["rejected"]
        return report

    return run


def csv_text(rows: list[tuple[str, ...]] = ROWS, header: str = "user,item,event,ts", newline: str = "\n") -> str:
    quoted = [",".join('"' + cell.replace('"', '""') + '"' if "," in cell else cell for cell in row) for row in rows]
    return newline.join([header, *quoted]) + newline


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def stored(tenant: Any) -> list[tuple]:
    with tenant_scope(tenant.id):
        events = Event.objects.order_by("event_id")
        return [(e.item_id, e.type, int(e.occurred_at.timestamp()), e.time_quality) for e in events]


EXPECTED = [(item, kind, int(ts), "historical") for _, item, kind, ts in ROWS]


def test_rows_keep_their_order_their_time_and_genuine_repeats(run, tenant, tmp_path) -> None:
    report = run(write(tmp_path / "events.csv", csv_text()))
    assert [report[name] for name in COUNTS] == [4, 4, 0, 0, 0]
    assert stored(tenant) == EXPECTED
    with tenant_scope(tenant.id):
        assert popular_items(count=1, weights={"cart": 1}) == [("i2", 2.0)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_windows_lines_and_blank_lines_are_no_matter(run, tenant, tmp_path, encoding) -> None:
    text = csv_text(newline="\r\n").replace("\r\n1,", "\r\n\r\n1,", 1)
    assert run(write(tmp_path / "events.csv", text.encode(encoding)))["ok"] == 4
    assert stored(tenant) == EXPECTED


def test_other_shapes_of_the_same_rows_store_the_same_events(run, tmp_path, tenant, other_tenant) -> None:
    names = ("user", "item", "event", "ts")
    records = [dict(zip(names, row, strict=True)) for row in ROWS]
    tsv = "\n".join("\t".join(cell for cell in row) for row in [names, *ROWS])
    table = pa.table(
        {
            "user": pa.array([int(row[0]) for row in ROWS]),
            "item": pa.array([row[1] for row in ROWS]).dictionary_encode(),
            "event": pa.array([row[2] for row in ROWS]),
            "ts": pa.array([int(row[3]) * 1000 for row in ROWS]).cast(pa.timestamp("ms")),
        }
    )
    pa.parquet.write_table(table, tmp_path / "events.parquet")
    files = [
        write(tmp_path / "events.tsv", tsv.replace('"', '""').replace('größe, ""42""', '"größe, ""42"""')),
        write(tmp_path / "events.jsonl", "\n".join(json.dumps(record) for record in records)),
        write(tmp_path / "events.csv.gz", gzip.compress(csv_text().encode())),
        tmp_path / "events.parquet",
    ]
    for number, file in enumerate(files, 1):
        assert run(file)["ok"] == 4
        assert stored(tenant) == EXPECTED * number


def test_events_in_the_form_of_the_api_are_understood(run, tenant, tmp_path, view) -> None:
    events = [view(created_at="2020-01-01T00:00:00Z", properties={"a": 1}, value=2.5) for _ in range(3)]
    lines = "\n".join(json.dumps(event) for event in events)
    assert run(write(tmp_path / "events.jsonl", lines))["ok"] == 3
    again = run(write(tmp_path / "later.jsonl", lines + "\n" + json.dumps(view(created_at="2020-01-02"))))
    assert (again["ok"], again["duplicate"]) == (1, 3)
    with tenant_scope(tenant.id):
        assert Event.objects.filter(properties={"a": 1}, value=2.5).count() == 3


def test_columns_of_a_flat_table_become_properties(run, tenant, tmp_path) -> None:
    table = pa.table(
        {
            "Kunde": ["k-1", "k-2"],
            "Zeitpunkt": ["2026-11-01T08:00:00+05:30", "2026-11-01T08:00:01Z"],
            "Karte": ["tok+1=", None],
            "Gemeldet": pa.array([None, 1_762_000_000_000]).cast(pa.timestamp("ms", tz="UTC")),
            "Bild": [None, b"\x89"],
        }
    )
    pa.parquet.write_table(table, tmp_path / "payments.parquet")
    columns = ["user_id=Kunde", "created_at=Zeitpunkt", "properties.card=Karte", "properties.fraud_known_at=Gemeldet"]
    constants = ["type=payment", "properties.channel=branch"]
    assert run(tmp_path / "payments.parquet", map=columns, constant=constants)["ok"] == 2
    with tenant_scope(tenant.id):
        assert [event.properties for event in Event.objects.order_by("event_id")] == [
            {"card": "tok+1=", "channel": "branch"},
            {"fraud_known_at": "2025-11-01T12:26:40+00:00", "channel": "branch"},
        ]
    report = run(tmp_path / "payments.parquet", map=[*columns, "properties.picture=Bild"], constant=constants)
    assert report["bad_rows"][0]["reasons"][0]["field"] == "properties"


def test_a_file_imported_again_stores_nothing(run, tenant, tmp_path) -> None:
    file = write(tmp_path / "events.csv", csv_text())
    run(file)
    assert [run(file)[name] for name in COUNTS] == [4, 0, 4, 0, 0]
    renamed = write(tmp_path / "copy.csv", csv_text())
    assert run(renamed)["duplicate"] == 4
    assert stored(tenant) == EXPECTED


def test_another_mapping_of_the_same_file_repairs_only_what_was_missing(run, tenant, tmp_path) -> None:
    rows = [("1", "i1", "View", "1433221969"), ("1", "i2", "cart", "1433221970")]
    file = write(tmp_path / "events.csv", csv_text(rows))
    first = run(file)
    assert (first["ok"], first["quarantined"]) == (1, 1)
    second = run(file, rename=["type.View=view"])
    assert (second["ok"], second["duplicate"]) == (1, 1)
    assert sorted(kind for _, kind, _, _ in stored(tenant)) == ["cart", "view"]


def test_bad_rows_go_to_quarantine_with_their_number_and_can_be_replayed(run, tenant, tmp_path) -> None:
    text = csv_text() + "3,i3,view,1433221972,extra\n4,i4,view,long ago\nnull,i5,view,1433221973\n5,,view,1433221974\n"
    report = run(write(tmp_path / "events.csv", text))
    assert [report[name] for name in COUNTS] == [8, 5, 0, 3, 0]
    assert [(bad["row"], bad["reasons"][0]["field"]) for bad in report["bad_rows"]] == [
        (5, "row"),
        (6, "created_at"),
        (7, "subject.user_id"),
    ]
    with tenant_scope(tenant.id):
        assert "3,i3,view,1433221972,extra" in Quarantine.objects.get(row_number=5).raw
        late = Quarantine.objects.get(row_number=6)
        assert replay(quarantine_ids=[late.id], fixes={"created_at": "2015-06-02"})["replayed"] == 1
        assert Event.objects.get(item_id="i4").occurred_at.year == 2015


def test_bytes_that_are_no_utf8_spoil_one_row_only(run, tenant, tmp_path) -> None:
    report = run(write(tmp_path / "events.csv", csv_text().encode() + b"3,caf\xe9,view,1433221972\n4,a\0b,view,1\n"))
    assert (report["ok"], report["quarantined"]) == (4, 2)
    assert [bad["reasons"][0]["code"] for bad in report["bad_rows"]] == ["not_unicode", "nul_byte"]


def test_times_in_the_future_are_clamped_and_counted(run, tenant, tmp_path) -> None:
    report = run(write(tmp_path / "events.csv", csv_text([("1", "i1", "view", "2999-01-01"), *ROWS])))
    assert (report["ok"], report["clamped"]) == (5, 1)


def test_a_dry_run_gives_the_same_report_and_writes_nothing(run, tenant, tmp_path) -> None:
    text = csv_text(header="user,item,event,ts") + "null,i5,view,1433221973\n"
    file = write(tmp_path / "events.csv", text)
    promised = run(file, dry_run=True)
    assert stored(tenant) == []
    with tenant_scope(tenant.id):
        assert not Import.objects.exists()
        assert not Quarantine.objects.exists()
    done = run(file)
    assert {name: promised[name] for name in (*COUNTS, "bad_rows")} == {
        name: done[name] for name in (*COUNTS, "bad_rows")
    }
    assert run(file, dry_run=True)["duplicate"] == 4


def test_a_dry_run_sees_repeats_and_conflicts_of_mapped_ids(run, tenant, tmp_path) -> None:
    rows = [("a", "1", "i1"), ("a", "1", "i1"), ("a", "1", "i2"), ("b", "1", "i1")]
    text = csv_text(rows, header="message_id,user_id,item_id")
    options = {"constant": ["type=view", "created_at=2020-01-01"], "chunk": 2}
    file = write(tmp_path / "events.csv", text)
    promised = run(file, dry_run=True, **options)
    assert [promised[name] for name in COUNTS] == [4, 2, 1, 1, 0]
    done = run(file, **options)
    assert [done[name] for name in COUNTS] == [promised[name] for name in COUNTS]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"map": ["user_id=nobody", "type=event", "created_at=ts"]}, "found: user, item, event, ts"),
        ({"map": ["user_id=user", "type=event"]}, "created_at"),
        ({"map": ["userid=user"]}, "did you mean 'user_id'"),
        ({"map": ["user_id"]}, "name=value"),
        ({"map": ["user_id=user", "properties=item", "properties.card=item"]}, "give it alone"),
        ({"rename": ["buy=purchase"]}, "--rename type.buy=purchase"),
        ({"delimiter": "::"}, "one character"),
        ({"tenant": "nobody"}, "create_tenant"),
        ({"format": "parquet"}, "Parquet"),
    ],
)
def test_a_wrong_command_says_what_to_do(tenant, tmp_path, options, message) -> None:
    file = write(tmp_path / "events.csv", csv_text())
    with pytest.raises(CommandError, match=message):
        call_command("import_events", file, **{"tenant": tenant.slug} | options)
    assert stored(tenant) == []


def test_a_missing_an_empty_and_a_cut_off_file_are_named(tenant, tmp_path) -> None:
    cut = gzip.compress(csv_text().encode() * 1000)[:-20]
    for file, message in (
        (tmp_path / "missing.csv", "no such file"),
        (write(tmp_path / "empty.csv", ""), "is empty"),
        (write(tmp_path / "cut.csv.gz", cut), "cut off"),
        (write(tmp_path / "array.json", "[1, 2]"), "one object a line"),
    ):
        with pytest.raises(CommandError, match=message):
            call_command("import_events", file, tenant=tenant.slug)


def test_an_import_that_loses_the_database_says_so_and_goes_on_later(run, tenant, tmp_path) -> None:
    rows = [(str(row % 97), f"i{row % 31}", "view", str(1_433_000_000 + row)) for row in range(3000)]
    file = write(tmp_path / "events.csv", csv_text(rows))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        session = cursor.fetchone()[0]

    with ExitStack() as closed:

        def cut_off(rows: int, position: int) -> None:
            if rows == 1000:
                closed.enter_context(closed_to_newcomers(session))

        reader = open_reader(file, None, None)
        source = open_source(file, reader, make_mapping(reader.columns))
        with pytest.raises(OperationalError):
            import_file(tenant_id=tenant.id, source=source, chunk_rows=500, on_progress=cut_off)
    connection.close()
    report = run(file)
    assert report["resumed_at"] == 1000
    assert [report[name] for name in COUNTS] == [3000, 3000, 0, 0, 0]
    assert stored(tenant) == [(item, kind, int(ts), "historical") for _, item, kind, ts in rows]


def test_an_import_outlives_a_connection_that_is_lost_between_two_chunks(tenant, tmp_path) -> None:
    rows = [(str(row % 97), f"i{row % 31}", "view", str(1_433_000_000 + row)) for row in range(3000)]
    file = write(tmp_path / "events.csv", csv_text(rows))
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        session = cursor.fetchone()[0]

    def cut_off(rows: int, position: int) -> None:
        if rows == 1000:
            with closed_to_newcomers(session):
                pass

    reader = open_reader(file, None, None)
    source = open_source(file, reader, make_mapping(reader.columns))
    import_file(tenant_id=tenant.id, source=source, chunk_rows=500, on_progress=cut_off)
    assert stored(tenant) == [(item, kind, int(ts), "historical") for _, item, kind, ts in rows]


def test_an_import_killed_half_way_goes_on_where_it_was(run, tenant, tmp_path) -> None:
    rows = [(str(row % 97), f"i{row % 31}", "view", str(1_433_000_000 + row)) for row in range(60_000)]
    file = write(tmp_path / "events.csv", csv_text(rows))
    command = [sys.executable, "manage.py", "import_events", str(file), "--tenant", tenant.slug, "--chunk", "500"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def has_begun() -> bool:
        assert process.poll() is None, "it ended before it could be killed"
        with tenant_scope(tenant.id):
            return bool(Import.objects.values_list("rows", flat=True).first())

    until(has_begun, every=0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr.read()
    with tenant_scope(tenant.id):
        done = Import.objects.get().rows
        assert 0 < done < len(rows)
        assert Event.objects.count() == done
    report = run(file)
    assert report["resumed_at"] == done
    assert [report[name] for name in COUNTS] == [60_000, 60_000, 0, 0, 0]
    assert stored(tenant) == [(item, kind, int(ts), "historical") for _, item, kind, ts in rows]
