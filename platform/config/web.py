"""What gunicorn is told in every place that starts it; addresses, processes and threads are said there."""

pythonpath = "platform"
wsgi_app = "config.wsgi"
worker_class = "config.even_worker.EvenWorker"
timeout = 60  # seconds
graceful_timeout = 10
# Longer than the idle time of common load balancers and clients: whoever closes first should be the client, whose next
# request would otherwise meet a connection that is being closed.
keepalive = 75
control_socket_disable = True
