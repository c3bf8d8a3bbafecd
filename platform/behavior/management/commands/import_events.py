import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import InterfaceError, OperationalError
from tqdm import tqdm

from behavior.importing.errors import ImportRefused
from behavior.importing.importer import ImportReport, check_file, import_file, open_source
from behavior.importing.mapping import make_mapping
from behavior.importing.readers import open_reader
from behavior.popularity import refresh_item_popularity
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.selectors import tenant_id_of

SECONDS_BETWEEN_LINES = 5.0
CHUNK_ROWS = 50_000


class Command(BaseCommand):
    help = (
        "Import events from CSV, TSV, JSON lines (each may be .gz) or Parquet; each keeps the time when it happened. "
        "Run it again after an interruption and it goes on; a file that is in the log already is not stored twice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument(
            "--map", nargs="+", default=[], metavar="FIELD=COLUMN", help="guessed from usual column names when left out"
        )
        parser.add_argument(
            "--rename", nargs="+", default=[], metavar="type.OLD=NEW", help="another name for an event type"
        )
        parser.add_argument(
            "--constant", nargs="+", default=[], metavar="FIELD=VALUE", help="one value for all rows, e.g. type=view"
        )
        parser.add_argument("--format", choices=["csv", "tsv", "jsonl", "parquet"], help="told from the name")
        parser.add_argument("--delimiter", help="of CSV; told from the header")
        parser.add_argument("--chunk", type=int, default=CHUNK_ROWS, help="rows a transaction")
        parser.add_argument("--dry-run", action="store_true", help="the same report, but nothing is written")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, file: Path, tenant: str, **options: Any) -> None:
        started = time.perf_counter()
        try:
            tenant_id = tenant_id_of(tenant)
            reader = open_reader(file, options["format"], _delimiter(options["delimiter"]))
            mapping = make_mapping(
                reader.columns,
                _pairs("--map", options["map"]),
                _pairs("--constant", options["constant"]),
                _renames(options["rename"]),
            )
            source = open_source(file, reader, mapping)
            run = check_file if options["dry_run"] else import_file
            with Progress(file) as progress:
                report = run(
                    tenant_id=tenant_id, source=source, chunk_rows=max(options["chunk"], 1), on_progress=progress
                )
            if not options["dry_run"]:
                with tenant_scope(tenant_id):
                    refresh_item_popularity()
        except (ImportRefused, Tenant.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"the database went away ({error}); run the same command again, it goes on") from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report) | {"dry_run": options["dry_run"], "mapping": mapping.columns}))
            return
        self.stdout.write(f"columns: {', '.join(f'{name}={column}' for name, column in mapping.columns.items())}")
        self._print_report(report, dry_run=options["dry_run"], seconds=time.perf_counter() - started)

    def _print_report(self, report: ImportReport, *, dry_run: bool, seconds: float) -> None:
        if report.resumed_at:
            self.stdout.write(f"{report.resumed_at:,} rows were imported before; went on behind them")
        self.stdout.write(
            f"{'dry run, nothing written: ' if dry_run else ''}{report.rows:,} rows read = {report.ok:,} ok "
            f"+ {report.duplicate:,} duplicate + {report.quarantined:,} quarantined + {report.rejected:,} rejected "
            f"({seconds:.1f} s)"
        )
        if report.clamped:
            self.stdout.write(f"{report.clamped:,} of the ok rows lay in the future and were set to the time of import")
        for bad in report.bad_rows:
            reasons = "; ".join(f"{reason['field']}: {reason['message']}" for reason in bad["reasons"])
            self.stdout.write(f"  row {bad['row']:,}: {reasons}")
        more = report.quarantined + report.rejected - len(report.bad_rows)
        if more > 0 and report.bad_rows:
            self.stdout.write(f"  and {more:,} more")


class Progress:
    """A bar on a terminal; elsewhere a line every few seconds."""

    def __init__(self, file: Path) -> None:
        self.size = file.stat().st_size
        self.bar = tqdm(total=self.size, unit="B", unit_scale=True, file=sys.stderr, disable=not sys.stderr.isatty())
        self.last_line = time.monotonic()

    def __enter__(self) -> Callable[[int, int], None]:
        return self.update

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def update(self, rows: int, position: int) -> None:
        self.bar.set_postfix_str(f"{rows:,} rows", refresh=False)
        self.bar.update(position - self.bar.n)
        if self.bar.disable and time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            print(f"{rows:,} rows, {position / max(self.size, 1):.0%} of the file", file=sys.stderr, flush=True)


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise ImportRefused(f"{option} {text}: write {option} name=value")
        pairs[name] = value
    return pairs


def _renames(given: Sequence[str]) -> dict[str, str]:
    pairs = _pairs("--rename", given)
    for name in pairs:
        if not name.startswith("type."):
            raise ImportRefused(f"--rename {name}: only types can be renamed; write --rename type.buy=purchase")
    return {name.removeprefix("type."): new for name, new in pairs.items()}


def _delimiter(given: str | None) -> str | None:
    delimiter = {"\\t": "\t", "tab": "\t"}.get(given or "", given)
    if delimiter is not None and len(delimiter) != 1:
        raise ImportRefused(f"--delimiter {given}: must be one character, or 'tab'")
    return delimiter
