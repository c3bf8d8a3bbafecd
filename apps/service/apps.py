from django.apps import AppConfig


class ServiceConfig(AppConfig):
    name = "apps.service"
    verbose_name = "Service"
