from django.apps import AppConfig
from django.db.models import CharField


class CatalogConfig(AppConfig):
    name = "catalog"
    verbose_name = "Catalogue"

    def ready(self) -> None:
        from catalog.lookups import OneOf

        CharField.register_lookup(OneOf)
