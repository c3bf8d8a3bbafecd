from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.risk.labels.files import record_file
from apps.risk.labels.services import record_labels
from apps.risk.transactions.models import Label
from behavior.importing.errors import ImportRefused
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.selectors import tenant_id_of

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
        try:
            within = partial(tenant_scope, tenant_id_of(tenant))
            report = record_file(
                file, lambda labels: record_labels(labels=labels, source=Label.Source.FILE), within=within
            )
        except (ImportRefused, Tenant.DoesNotExist) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(report.words())
        for row, problem in sorted(report.problems.items())[:SHOWN]:
            self.stdout.write(f"  row {row:,}: {problem}")
