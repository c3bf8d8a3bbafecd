"""Rankings: the client's own candidates in a better order."""
