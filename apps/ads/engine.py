"""Ad placement's only door to `ml`."""
