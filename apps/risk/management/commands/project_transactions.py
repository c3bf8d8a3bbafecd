from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.risk.transactions.projection import project_past, project_transactions
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.selectors import tenant_id_of


class Command(BaseCommand):
    help = (
        "Carry transactions from the behaviour log to the risk desk now, instead of within seconds; for example after "
        "import_events. Running it again changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, help="slug of the tenant")

    def handle(self, *args: Any, tenant: str, **options: Any) -> None:
        try:
            tenant_id = tenant_id_of(tenant)
        except Tenant.DoesNotExist as error:
            raise CommandError(str(error)) from error
        total = 0
        while True:
            with tenant_scope(tenant_id):
                events = project_transactions(wait=True) or project_past(wait=True)
            if events == 0:
                break
            total += events
            self.stdout.write(f"{total:,} events")
        self.stdout.write(f"{total:,} events of transactions were carried over")
