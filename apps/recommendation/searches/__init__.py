"""Searches: from a query to ranked items."""
