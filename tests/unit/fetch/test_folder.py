"""The newest match in a folder, whatever the server lists."""

from __future__ import annotations

import pytest
from roster_upload.exits import Failure, SourceFailure
from roster_upload.fetch import folder as folders
from roster_upload.fetch.folder import RemoteFile
from roster_upload.transfer import messages
from support.source_server import LINK, NOW, SourceServer, folder_of


def newest(server: SourceServer, name: str = "*.zip") -> str:
    return folder_of(server, name).newest().name


def test_the_newest_is_taken_and_of_equals_the_greater_name() -> None:
    server = SourceServer("b.zip", "a.zip")
    server.put("c.csv", when=NOW + 9)
    assert newest(server) == "b.zip"
    server.put("a.zip", when=NOW + 1)
    assert newest(server) == "a.zip"
    assert newest(server, "?.zip") == "a.zip"
    assert newest(server, "b.zip") == "b.zip"


@pytest.mark.parametrize("name", ["../x.zip", "/etc/x.zip", "a/x.zip", "..", ".", "", "\0.zip"])
def test_a_name_that_leads_elsewhere_is_no_match(name: str) -> None:
    server = SourceServer("a.zip")
    server.put(name, when=NOW + 9)
    assert newest(server, "*") == "a.zip"


def test_only_regular_files_match_and_no_hidden_ones() -> None:
    server = SourceServer("a.zip")
    server.put("link.zip", when=NOW + 9, mode=LINK)
    server.put("folder.zip", when=NOW + 9, mode=0o040755)
    server.put(".part.zip", when=NOW + 9)
    assert newest(server) == "a.zip"
    assert newest(server, ".*.zip") == ".part.zip"
    with pytest.raises(SourceFailure, match="there is no export"):
        newest(server, "folder.zip")


def test_of_many_names_not_all_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SourceServer(*(f"{number}.csv" for number in range(20)))
    monkeypatch.setattr(folders, "MOST_COMPARED", 5)
    with pytest.raises(
        SourceFailure, match=r'holds "[0-4].csv", "[0-4].csv", "[0-4].csv" and 17 more'
    ):
        newest(server)


def test_brackets_are_letters() -> None:
    server = SourceServer("a[1].zip", "a1.zip")
    assert newest(server, "a[1]*") == "a[1].zip"


def test_what_the_listing_lacks_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    server = SourceServer("a.zip", "b.zip", lists_attributes=False)
    server.put("a.zip", when=NOW + 1)
    assert newest(server) == "a.zip"
    monkeypatch.setattr(folders, "MOST_ASKED", 1)
    assert server.requests.count("stat") == 3
    assert newest(server) == "b.zip", "of many files not all are asked for"


def test_a_server_may_show_attributes_in_listings_alone() -> None:
    hides = {"stat": messages.PERMISSION_DENIED}
    there = folder_of(SourceServer("a.zip", refuse=hides))
    assert there.newest() == RemoteFile("a.zip", 6, NOW)
    with pytest.raises(messages.SftpStatusError):
        folder_of(SourceServer("a.zip", refuse=hides), "a.zip").newest()


@pytest.mark.parametrize(
    ("names", "wanted", "text"),
    [
        ((), "*.zip", "Its folder is empty"),
        (("a.csv", "b.csv", "c.csv", "d.csv"), "*.zip", "and 1 more"),
        (("Roster.ZIP",), "Roster.zip", 'holds "Roster.ZIP"'),
        (("\x1b[2J",), "a.zip", "\\x1b"),
    ],
)
def test_what_is_there_instead_is_named(names: tuple[str, ...], wanted: str, text: str) -> None:
    with pytest.raises(Failure, match="there is no export at sftp://sis@files") as failed:
        folder_of(SourceServer(*names), wanted).newest()
    assert text in failed.value.message
    assert failed.value.cause == "no_match"


def test_a_missing_folder_is_named() -> None:
    server = SourceServer()
    server.folders.clear()
    with pytest.raises(Failure, match="There is no such folder either"):
        folder_of(server, "a.zip").newest()
    with pytest.raises(messages.SftpStatusError):
        folder_of(server).newest()
