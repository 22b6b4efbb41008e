"""Fixtures every part of the suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def raw():
    """Raw files of the folder CRIME_STUDY_DATA names; skips, saying why, without it."""
    folder = os.environ.get("CRIME_STUDY_DATA")
    if not folder:
        pytest.skip("CRIME_STUDY_DATA is not set: tests on the raw files need their folder")
    from analysis.panel.sources.raw import RawFiles

    return RawFiles(Path(folder))
