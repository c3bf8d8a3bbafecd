"""Whether a scenario has the data that it needs."""
