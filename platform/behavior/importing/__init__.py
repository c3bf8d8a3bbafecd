"""History from files: what `manage.py import_events` does."""
