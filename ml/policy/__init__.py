"""Policies that turn scores into ranked choices with known propensities."""
