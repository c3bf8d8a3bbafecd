"""WSGI entry of the API (SEQUITUR_PROCESS=app) and of the console (SEQUITUR_PROCESS=console)."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

# What was loaded so far stays for good: a collection that looked at all of it would hold up whoever waits just then.
# The threshold is more than a request makes, so that most requests end before they are looked at.
gc.collect()
gc.freeze()
gc.set_threshold(10_000)
