"""REST endpoints under /api/v1/ads/."""
