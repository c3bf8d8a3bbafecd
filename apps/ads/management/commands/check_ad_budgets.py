"""`manage.py check_ad_budgets TENANT`: whether every flight's counters, ledger and deliveries agree."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.ads.budgets.selectors import flight_accounts
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tenancy.selectors import tenant_id_of


class Command(BaseCommand):
    help = "Checks that the counters, the ledger and the deliveries of every flight agree to the micro-unit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tenant", help="slug of the tenant")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant_id = tenant_id_of(options["tenant"])
        except Tenant.DoesNotExist as error:
            raise CommandError(str(error)) from error
        with tenant_scope(tenant_id):
            accounts = flight_accounts()
        wrong = {account.flight_id: account.problems for account in accounts if account.problems}
        for flight_id, problems in wrong.items():
            self.stderr.write(f"{flight_id}: {'; '.join(problems)}")
        if wrong:
            raise CommandError(f"{len(wrong)} of {len(accounts)} flights do not agree")
        spent = sum(account.spent_micros for account in accounts)
        self.stdout.write(f"{len(accounts)} flights agree; {spent} micro-units spent")
