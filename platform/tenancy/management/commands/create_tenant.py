from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy.api_scopes import API_SCOPES
from tenancy.scope import tenant_scope
from tenancy.services import create_api_key, create_tenant


class Command(BaseCommand):
    help = "Create a tenant and print its first API key (shown once)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name for commands and addresses, e.g. my-shop")
        parser.add_argument("--name", help="name for people; the slug when left out")

    def handle(self, *args: Any, slug: str, name: str | None, **options: Any) -> None:
        try:
            tenant = create_tenant(slug=slug, name=name or slug)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        with tenant_scope(tenant.id):
            _, raw_key = create_api_key(name="first key", scopes=list(API_SCOPES))
        self.stdout.write(f"tenant {tenant.slug} (id {tenant.id})\nAPI key, shown once: {raw_key}")
