from django.apps import AppConfig


class RecommendationConfig(AppConfig):
    name = "apps.recommendation"
    verbose_name = "Recommendation"
