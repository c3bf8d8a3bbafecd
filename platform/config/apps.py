from django.apps import AppConfig


class WiringConfig(AppConfig):
    """Makes the management commands of this room findable."""

    name = "config"
