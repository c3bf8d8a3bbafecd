"""What ad placement does off the request's path."""
