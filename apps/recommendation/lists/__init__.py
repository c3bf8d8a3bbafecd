"""Lists: what may stand in one, where its candidates come from, and how they are ordered."""
