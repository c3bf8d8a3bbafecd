"""A made risk desk for demonstrations."""
