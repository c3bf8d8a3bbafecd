"""Lists for many subjects at once, as a file."""
