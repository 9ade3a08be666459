"""Sources: a path on the host, or an address on an SFTP server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from roster_upload import config
from roster_upload.spec import checks
from roster_upload.spec.sources import SftpSource
from unit.test_config import GOOD

KEYS = {"source_host_keys": GOOD["host_keys"]}


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("sftp://u@h/a/b/x.zip", SftpSource("u", "h", 22, "/a/b", "x.zip")),
        ("SFTP://u@h:2222/x*.zip", SftpSource("u", "h", 2222, "", "x*.zip", is_pattern=True)),
        (
            "sftp://u%40d.org@h/a%20b/%25?#.zip",
            SftpSource("u@d.org", "h", 22, "/a b", "%?#.zip", is_pattern=True),
        ),
        ("sftp://u@d.org@h/gr%C3%B6%C3%9Fe", SftpSource("u@d.org", "h", 22, "", "größe")),
        ("sftp://u@[2001:db8::1]:22/x", SftpSource("u", "2001:db8::1", 22, "", "x")),
        ("sftp://u@h/a/%2A.zip", SftpSource("u", "h", 22, "/a", "*.zip")),
    ],
)  # fmt: skip
def test_an_address_is_read(text: str, source: SftpSource) -> None:
    assert checks.source(text) == source


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sftp://h/x.zip", "has no user"),
        ("sftp://@h/x.zip", "has no user"),
        ("sftp://u:secret@h/x.zip", "has a password"),
        ("sftp://u:secret@/other/secret@h/x.zip", "has a password"),
        ("sftp://u:sec/secret@h/x.zip", "has a password"),
        ("https://h/x.zip?token=secret@", "absolute path or an address sftp://"),
        ("u:secret@h:/x.zip", "absolute path or an address sftp://"),
        ("sftp://u@[:::]/x.zip", "is not a host name or address"),
        ("sftp://u@h..h/x.zip", "is not a host name or address"),
        ("sftp://u@/x.zip", "no host name"),
        ("sftp://u@h:0/x.zip", "no host name"),
        ("sftp://u@h:99999/x.zip", "no host name"),
        ("sftp://u@h h/x.zip", "is not a host name"),
        ("sftp://u@h", "has no file name"),
        ("sftp://u@h/a/", "has no file name"),
        ("sftp://u@h/~/x.zip", "absolute path"),
        ("sftp://u@h//x.zip", "absolute path"),
        ("sftp://u@h/a/../x.zip", "absolute path"),
        ("sftp://u@h/a/%2E%2E/x.zip", "absolute path"),
        ("sftp://u@h/a%2Fb/x.zip", "absolute path"),
        ("sftp://u@h/a/..", "absolute path"),
        ("sftp://u@h/a*/x.zip", "last part only"),
        ("sftp://u@h/a?/x.zip", "last part only"),
        ("sftp://u@h/100%.zip", "%25"),
        ("sftp://u@h/%FF.zip", "not UTF-8"),
        ("sftp://u@h/a%0Ab.zip", "control characters"),
        ("sftp://u%00@h/x.zip", "control characters"),
        ("ftp://u@h/x.zip", "absolute path or an address sftp://"),
        ("smb://h/share/x.zip", "absolute path or an address sftp://"),
        ("https://u:secret@h/x.zip", "absolute path or an address sftp://"),
        ("exports/x.zip", "must be the absolute path"),
    ],
)
def test_what_is_no_source_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as failed:
        checks.source(text)
    assert "secret@" not in str(failed.value)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"source": "sftp://u@h/x.zip"}, "source_host_keys"),
        ({"source": "sftp://u@h/x.zip", **KEYS, "source_origin": "smb://h/s/x"}, "source_origin"),
        (KEYS, "source_host_keys"),
        ({"source_after": "remove"}, "source_after"),
        ({"source_auth": "key"}, "source_auth"),
        ({"source_algorithms": "legacy"}, "source_algorithms"),
        ({"source_after": "delete"}, "source_after"),
        ({"source": "sftp://u@h/x.zip", "source_host_keys": ["x"]}, "source_host_keys"),
    ],
)
def test_keys_of_a_source_fit_its_kind(values: dict[str, Any], key: str) -> None:
    assert [problem.key for problem in config.problems({**GOOD, **values})] == [key]


def test_an_origin_is_what_people_read() -> None:
    source = {"source": "sftp://u%40d@h:2222/a%20b/x*.zip", **KEYS}
    assert config.parse({**GOOD, **source}).origin == "sftp://u@d@h:2222/a b/x*.zip"
    assert config.parse(GOOD).origin == GOOD["source"]
    mounted = config.parse({**GOOD, "source_origin": "smb://files/s/x.zip"})
    assert (mounted.origin, mounted.source) == ("smb://files/s/x.zip", Path(GOOD["source"]))
