class ImportRefused(Exception):
    """The import cannot start or go on; the message says why and what to do. What is committed stays committed."""
