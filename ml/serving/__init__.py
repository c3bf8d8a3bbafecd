"""Predictors that answer from an artifact folder, and the pool that keeps them in memory."""
