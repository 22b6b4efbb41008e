"""Inference for panels on arrays: few clusters, resampling, space, families of outcomes. numpy and scipy only."""
