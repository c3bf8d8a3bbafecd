"""Customer service's only door to `ml`."""
