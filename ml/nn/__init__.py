"""Encoders, attention pooling and losses."""
