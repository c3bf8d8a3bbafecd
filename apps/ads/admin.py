"""The console's part of this application."""
