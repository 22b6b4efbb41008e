"""Measurements are not part of the suite: ``pytest tests`` leaves them out, a file named to pytest is run."""

collect_ignore_glob = ["test_matching_speed.py"]
