"""A made service desk for demonstrations."""
