from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from apps.risk.labels.reading import FIELDS, BadLabel, read_label
from apps.risk.labels.services import record_labels
from apps.risk.transactions.models import Label
from behavior.importing.errors import ImportRefused
from behavior.importing.readers import open_reader
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.selectors import tenant_id_of

ROWS = 10_000
SHOWN = 20


class Command(BaseCommand):
    help = (
        "Import labels of transactions from CSV, TSV, JSON lines (each may be .gz) or Parquet with the columns "
        "transaction_id, kind and, if known, known_at and note. Labels with a known_at are not stored twice."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--tenant", required=True, help="slug of the tenant")

    def handle(self, *args: Any, file: Path, tenant: str, **options: Any) -> None:
        found: Counter[str] = Counter()
        problems: dict[int, str] = {}
        try:
            tenant_id = tenant_id_of(tenant)
            reader = open_reader(file, None, None)
            names = [name for name in FIELDS if name in reader.columns]
            if not {"transaction_id", "kind"} <= set(names):
                raise ImportRefused(
                    f"{file}: needs the columns transaction_id and kind; found {', '.join(reader.columns)}"
                )
            for chunk in reader.chunks(names, ROWS, 0):
                rows = zip(*(chunk.cells[name] for name in names), strict=True)
                with tenant_scope(tenant_id):
                    self._store(chunk.first_row, [dict(zip(names, row, strict=True)) for row in rows], found, problems)
        except (ImportRefused, Tenant.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(", ".join(f"{found[name]:,} {name}" for name in ("ok", "duplicate", "invalid")))
        for row, problem in sorted(problems.items())[:SHOWN]:
            self.stdout.write(f"  row {row:,}: {problem}")

    def _store(self, first: int, rows: list[dict[str, Any]], found: Counter[str], problems: dict[int, str]) -> None:
        labels, places = [], []
        for place, row in enumerate(rows, start=first + 1):
            try:
                labels.append(read_label(row, now=timezone.now()))
                places.append(place)
            except BadLabel as error:
                found["invalid"] += 1
                problems[place] = str(error)
        for place, result in zip(places, record_labels(labels=labels, source=Label.Source.FILE), strict=True):
            found[result.result] += 1
            if result.message:
                problems[place] = f"{result.field} {result.message}"
