"""What customer service does off the request's path."""
