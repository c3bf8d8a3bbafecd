"""What the models say of a transaction."""
