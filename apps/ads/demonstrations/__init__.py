"""A made market of ads for demonstrations."""
