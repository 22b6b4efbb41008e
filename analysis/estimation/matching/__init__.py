"""Matching algorithms on arrays: distances, propensity, nearest neighbours, balance. numpy and scipy only."""
