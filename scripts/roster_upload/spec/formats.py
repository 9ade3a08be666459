"""Return the files, columns and kinds of records of each format."""

from __future__ import annotations

from collections.abc import Mapping

from roster_upload.spec import spec

ONEROSTER = "oneroster-1.1"
OPAQUE = "other"
TRADITIONAL_KINDS = ("organizations", "classes", "users", "students")
# Files whose records the guard divides into kinds by their role, and the roles' vocabulary.
ROLES = {"users": "user_role", "enrollments": "enrollment_role"}


def columns(form: str) -> Mapping[str, Mapping[str, str]]:
    """Return whether a column is required, by file and column.

    A file without columns may have any columns.
    """
    if form == ONEROSTER:
        files = spec(ONEROSTER)["files"].items()
        return {
            file: {column["name"]: column["required"] for column in table["columns"]}
            for file, table in files
        }
    return {} if form == OPAQUE else {kind: {} for kind in TRADITIONAL_KINDS}


def record_kinds(form: str) -> list[str]:
    """Return the kinds of records that the guard distinguishes in a format."""
    if form != ONEROSTER:
        return ["bytes"] if form == OPAQUE else list(TRADITIONAL_KINDS)
    table = spec(ONEROSTER)
    roles = [f"{file}.{role}" for file, words in ROLES.items() for role in table["enums"][words]]
    return [*table["data_files"], *roles]
