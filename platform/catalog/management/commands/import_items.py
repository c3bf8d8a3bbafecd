import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from behavior.importing.errors import ImportRefused
from behavior.importing.readers import open_reader
from catalog.importing import import_items, make_item_mapping
from tenancy.models import Tenant
from tenancy.selectors import tenant_id_of


class Command(BaseCommand):
    help = (
        "Import the catalogue from CSV, TSV, JSON lines (each may be .gz) or Parquet. Known items are replaced, new "
        "ones added, and none is deleted; running it again changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument(
            "--map",
            nargs="+",
            default=[],
            metavar="FIELD=COLUMN",
            help="such as id=sku title=name attributes.color=colour; guessed from usual column names without id=",
        )
        parser.add_argument("--separator", default="|", help="between the categories of a cell; default |")
        parser.add_argument("--format", choices=["csv", "tsv", "jsonl", "parquet"], help="told from the name")
        parser.add_argument("--delimiter", help="of CSV; told from the header")
        parser.add_argument("--dry-run", action="store_true", help="the same report, but nothing is written")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, file: Path, tenant: str, **options: Any) -> None:
        try:
            tenant_id = tenant_id_of(tenant)
            reader = open_reader(file, options["format"], options["delimiter"])
            mapping = make_item_mapping(reader.columns, _pairs(options["map"]))
            size = file.stat().st_size
            with tqdm(total=size, unit="B", unit_scale=True, file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
                report = import_items(
                    tenant_id=tenant_id,
                    reader=reader,
                    mapping=mapping,
                    separator=options["separator"],
                    dry_run=options["dry_run"],
                    on_progress=lambda rows, position: bar.update(position - bar.n),
                )
        except (ImportRefused, Tenant.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report) | {"dry_run": options["dry_run"], "mapping": mapping}))
            return
        self.stdout.write(f"columns: {', '.join(f'{name}={column}' for name, column in mapping.items())}")
        written = "dry run, nothing written: " if options["dry_run"] else ""
        self.stdout.write(f"{written}{report.rows:,} rows = {report.ok:,} ok + {report.rejected:,} rejected")
        for bad in report.bad_rows:
            self.stdout.write(f"  row {bad['row']:,}: {json.dumps(bad['errors'])}")
        if report.rejected > len(report.bad_rows):
            self.stdout.write(f"  and {report.rejected - len(report.bad_rows):,} more")


def _pairs(given: list[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in given)
    for name, column in pairs.items():
        if not name or not column:
            raise ImportRefused(f"--map {name}: write --map field=column")
    return pairs
