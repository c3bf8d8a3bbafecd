"""What gunicorn is told in every place that starts it; addresses, processes and threads are said there."""

import os
import shutil
import tempfile
from typing import Any

pythonpath = "platform"
wsgi_app = "config.wsgi"
worker_class = "config.even_worker.EvenWorker"
timeout = 60  # seconds
graceful_timeout = 10
# Longer than the idle time of common load balancers and clients: whoever closes first should be the client, whose next
# request would otherwise meet a connection that is being closed.
keepalive = 75
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Where the processes keep their figures, so that whichever is asked for them answers for all."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="sequitur-figures-")


def on_exit(server: Any) -> None:
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
