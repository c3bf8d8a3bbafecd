"""Operators' rules: what they want of lists."""
