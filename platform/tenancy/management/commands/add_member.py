import getpass
import secrets
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tenancy.selectors import tenant_id_of
from tenancy.services import add_member


class Command(BaseCommand):
    help = (
        "Give a person a role in a tenant; an unknown e-mail becomes a console user. Whoever has no password yet gets "
        "one, and all others keep their own."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--tenant", required=True, help="slug of the tenant")
        parser.add_argument("--role", choices=Role.values, default=Role.VIEWER)
        parser.add_argument(
            "--ask-password", action="store_true", help="ask for a new password, also of a known person"
        )

    def handle(self, *args: Any, email: str, tenant: str, role: str, ask_password: bool, **options: Any) -> None:
        try:
            tenant_id = tenant_id_of(tenant)
        except Tenant.DoesNotExist as error:
            raise CommandError(str(error)) from error
        known = get_user_model().objects.filter(username=email.lower()).first()
        has_password = known is not None and known.has_usable_password()
        made = None if has_password or ask_password else secrets.token_urlsafe(12)
        with tenant_scope(tenant_id):
            add_member(email=email, role=Role(role), password=getpass.getpass() if ask_password else made)
        shown = f", password: {made}" if made else ""
        self.stdout.write(f"{email} is {role} of {tenant}{shown}")
