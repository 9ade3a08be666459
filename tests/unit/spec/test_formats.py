"""The files, columns and kinds of records of each format."""

from __future__ import annotations

import pytest
from roster_upload.spec.formats import ONEROSTER, OPAQUE, columns, record_kinds


def test_columns_say_whether_they_are_required() -> None:
    users = columns(ONEROSTER)["users"]
    assert (users["sourcedId"], users["phone"], users["status"]) == ("yes", "no", "delta")
    assert columns(OPAQUE) == {}
    assert columns("traditional-math")["students"] == {}, "any column may be there"


@pytest.mark.parametrize(
    ("form", "kinds"),
    [
        (ONEROSTER, {"users.student", "enrollments.teacher", "classes", "orgs"}),
        ("traditional-math", {"students", "organizations"}),
        (OPAQUE, {"bytes"}),
    ],
)
def test_the_guard_divides_users_and_enrollments_by_role(form: str, kinds: set[str]) -> None:
    assert kinds <= set(record_kinds(form))
    assert ("users.student" in record_kinds(form)) is (form == ONEROSTER)
