"""All tables of the application; each topic keeps its own."""
