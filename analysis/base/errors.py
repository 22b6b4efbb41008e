"""Errors a person can act on: what was found, what was wanted, where to change it."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class StudyError(Exception):
    """Any error of the study that a user can act on; the command line prints it without a traceback.

    Args:
        found: what was met, with the offending value.
        wanted: what would have been right.
        where: the file, key or option to change; or ``run: a command`` that mends it.

    Example:
        >>> print(StudyError("sample.min_coverage = 80", "a share in [0, 1]", "my_rule.toml"))
        sample.min_coverage = 80; expected a share in [0, 1]; change it in my_rule.toml
    """

    def __init__(self, found: str, wanted: str = "", where: str = "") -> None:
        self.found, self.wanted, self.where = found, wanted, where
        parts = [found]
        if wanted:
            parts.append(f"expected {wanted}")
        if where:
            parts.append(where if where.startswith("run: ") else f"change it in {where}")
        super().__init__("; ".join(parts))


class SourceError(StudyError):
    """A raw file is missing, damaged, or not what its name says."""


class TableError(StudyError):
    """A table breaks its contract in the codebook, or a join broke its stated cardinality."""


class SpecError(StudyError):
    """A spec holds an unknown key, an unknown value, or one the chosen estimator cannot honour."""


class ProtocolError(SpecError):
    """A spec asks for what a rule of the study's protocol refuses; the message names the rule."""


class SampleError(StudyError):
    """No treated or no comparison county is left, or a design cannot be formed."""


class NetworkError(StudyError):
    """Nothing can be downloaded from here."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``' (did you mean …?)'`` for the nearest known word, or an empty string.

    Example:
        >>> nearest("min_populaton", ["min_population", "years"])
        ' (did you mean min_population?)'
    """
    close = get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""
