"""WSGI entry of the API (SEQUITUR_PROCESS=app) and of the console (SEQUITUR_PROCESS=console)."""

import gc
import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# As in manage.py: what a start makes is no garbage.
gc.disable()
application = get_wsgi_application()
gc.enable()

if settings.GATEWAY_TRANSPORT == "inline":
    from serving import engine

    engine.load()
