"""Checks of an estimate or a design: balance, pre-trends, equivalence, power."""
