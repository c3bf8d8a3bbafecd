"""Makes Django find the console's pages. Each application keeps its own pages in its `admin.py`."""

from console.pages import (  # noqa: F401
    access,
    api_keys,
    catalog,
    decisions,
    events,
    identities,
    model_versions,
    quality,
    quarantine,
    saved_filters,
    scenarios,
    training,
    webhooks,
)
