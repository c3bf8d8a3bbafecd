from django.apps import AppConfig


class RecommendationConfig(AppConfig):
    name = "apps.recommendation"
    verbose_name = "Recommendation"

    def ready(self) -> None:
        # Models can be imported only from here on.
        from apps.recommendation.rules.selectors import filter_uses
        from catalog.filter_services import register_uses

        register_uses(filter_uses)
