"""All tables of the application; each topic keeps its own."""

from apps.service.understanding.models import Intent, IntentExample, UnderstandingSettings

__all__ = ["Intent", "IntentExample", "UnderstandingSettings"]
