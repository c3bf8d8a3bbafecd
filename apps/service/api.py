"""REST endpoints of customer service."""
