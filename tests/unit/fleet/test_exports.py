"""The choices of an export, and what a text at the wrong question gets as an answer."""

from __future__ import annotations

import pytest
from roster_fleet.onboard import exports

UNC = "smb://USER@files/a%25b/x.zip"


@pytest.mark.parametrize(
    ("choice", "value", "problem"),
    [
        (exports.PATH, "/srv/x.zip", None),
        (exports.PATH, "smb://files/x/y.zip", "is a URL, not a path. Choose fetch or share"),
        (exports.PATH, r"\\files\x\y.zip", "is a Windows share"),
        (exports.PATH, "x.zip", "must be the absolute path"),
        (exports.FETCH, "sftp://u@sis.example:22/x/*.zip", None),
        (exports.FETCH, "/srv/x.zip", "does not begin with sftp://. Use sftp://USER@HOST/PATH"),
        (exports.FETCH, "ftps://u:hush@sis.example/x", "does not begin with sftp://"),
        (exports.FETCH, "sftp://u:hush@sis.example/x", "password"),
        (exports.FETCH, "sftp://u@sis.example", "no file name"),
        (exports.SHARE, "smb://D;u@files/x/y.zip", None),
        (exports.SHARE, r"\\files\a%b\x.zip", UNC),
        (exports.SHARE, "//files/a%b/x.zip", UNC),
        (exports.SHARE, "smb://u:hush@files/x/y.zip", "password"),
        (exports.SHARE, "smb://files/x.zip", "must hold a share and a file"),
        (exports.SHARE, "sftp://u@files/x/y.zip", "does not begin with smb://"),
    ],
)
def test_a_source_fits_its_choice(choice: str, value: str, problem: str | None) -> None:
    found = exports.source_problem(choice, value)
    assert (found is None) == (problem is None)
    assert (problem or "") in (found or "")
    assert "hush" not in (found or "")


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ({}, exports.LATER),
        ({"export": "share", "source": "/x"}, exports.SHARE),
        ({"inbox_user": "sis", "source": "/x"}, exports.INBOX),
        ({"source": "sftp://u@x/y"}, exports.FETCH),
        ({"source": "smb://x/y/z"}, exports.SHARE),
        ({"source": "/x"}, exports.PATH),
    ],
)
def test_given_values_mean_a_choice(given: dict[str, str], choice: str) -> None:
    assert exports.choice_of(given) == choice


def test_a_new_choice_forgets_the_answers_of_the_old_one() -> None:
    given = dict.fromkeys((*exports.ANSWERS, "export", "host"), "x")
    exports.forget("source_auth", given)
    assert "source_password" not in given
    exports.forget("inbox_auth", given)
    assert not {"inbox_key", "inbox_password"} & given.keys()
    exports.forget("export", given)
    assert [*given] == ["export", "host"]


def test_every_line_fits_a_terminal() -> None:
    assert all(len(line) <= 80 for line in exports.MEANINGS.split("\n"))
