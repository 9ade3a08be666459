"""Hosts that deliver to the same file at the vendor are found without resolving everything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from roster_fleet.check import targets
from support import written

MAPLE = "district_name: Elm\ndistrict_site_code: '1'\nroster_upload_feed: elm\n"
OTHER = MAPLE.replace("elm", "fir")


def messages(
    folder: Path, texts: Mapping[str, str], template: Any = None, decrypt: Any = None
) -> list[str]:
    inventory = written.inventory(folder, texts)
    manager = InventoryManager(loader=DataLoader(), sources=[str(folder)], cache=False)
    hosts = manager.groups["district_hosts"].get_hosts()
    found = targets.problems(targets.Targets(inventory, template, decrypt), hosts)
    return [problem.text for problem in found]


def of(maple: str, oak: str, **more: str) -> dict[str, str]:
    return {"host_vars/maple.yml": maple, "host_vars/oak/main.yml": oak, **more}


ITEM = "{feed: oak, remote_dir: /imagine/1-Elm/product/}"


@pytest.mark.parametrize(
    "oak",
    [
        OTHER,
        f"roster_upload_feeds: [{ITEM}]\n",
        "roster_upload_feed: oak\nroster_upload_remote_dir: imagine/1-Elm/product\n",
        OTHER + "roster_upload_remote_host: SFTP.imaginelearning.com\n",
        OTHER + "roster_upload_remote_name: null\n",
        "roster_upload_feed: oak\ndistrict_name: Elm\ndistrict_site_code: 1\n",
    ],
)
def test_two_hosts_of_one_file(oak: str, tmp_path: Path) -> None:
    (text,) = messages(tmp_path, of(MAPLE, oak))
    for part in (
        "elm of maple and ",
        " of oak deliver to the same file, imagine/1-Elm/product/OneRoster.zip on sftp.imagine",
        "roster_upload_remote_dir",
        "district_site_code",
    ):
        assert part in text


@pytest.mark.parametrize(
    "oak",
    [
        OTHER + "roster_upload_remote_port: 2222\n",
        OTHER + "roster_upload_remote_name: other.zip\n",
        OTHER.replace("'1'", "'2'"),
        OTHER.replace("fir", "''"),  # no feed
        OTHER + "district_product: math\n",
        f"roster_upload_feeds: [{ITEM}, {ITEM}]\n".replace("1-Elm", "2-Elm"),  # one host's own
        OTHER + "roster_upload_remote_dir: !vault x\n",
        OTHER + "roster_upload_feeds: '{{ x }}'\n",
        OTHER + "roster_upload_remote_dir: imagine/1-{{ x | lower }}/product\n",
    ],
)
def test_hosts_of_different_files_or_of_unknown_ones(oak: str, tmp_path: Path) -> None:
    assert messages(tmp_path, of(MAPLE, oak)) == []


FETCHING = MAPLE + "roster_upload_source: sftp://sis@sis.example/{feed}/*.zip\n"
REMOVING = FETCHING + "roster_upload_source_after: remove\n"


def test_a_host_does_not_remove_what_another_one_fetches(tmp_path: Path) -> None:
    oak = "roster_upload_feed: oak\ndistrict_name: Oak\ndistrict_site_code: '2'\n"
    oak += "roster_upload_source: sftp://sis@sis.example/elm/One.zip\n"
    (text,) = messages(tmp_path, of(REMOVING, oak))
    for part in (
        "elm of maple removes sftp://sis@sis.example/elm/*.zip after its delivery",
        "but oak of oak fetches the same file",
        "roster_upload_source_after: keep",
    ):
        assert part in text


def test_hosts_fetch_files_of_their_own(tmp_path: Path) -> None:
    of_oak = REMOVING.replace("elm", "oak").replace("'1'", "'2'")
    assert messages(tmp_path / "other", of(REMOVING, of_oak)) == []
    assert messages(tmp_path / "kept", of(FETCHING, FETCHING.replace("'1'", "'2'"))) == []


def test_an_unknown_source_hides_no_target(tmp_path: Path) -> None:
    oak = OTHER + "roster_upload_source: sftp://sis@sis.example/{{ x | lower }}/*.zip\n"
    (text,) = messages(tmp_path, of(REMOVING, oak))
    assert "deliver to the same file" in text


def test_nothing_is_known_about_encrypted_files(tmp_path: Path) -> None:
    sealed = {"host_vars/oak/vault.yml": "$ANSIBLE_VAULT;1.2;AES256;x\n61\n"}
    assert messages(tmp_path, of(MAPLE, OTHER, **sealed)) == []


def test_an_encrypted_file_of_all_hosts_hides_no_feeds(tmp_path: Path) -> None:
    sealed = {"group_vars/all/vault.yml": "$ANSIBLE_VAULT;1.2;AES256;x\n61\n"}
    texts = of(MAPLE, "roster_upload_feed: oak\ndistrict_name: Elm\n", **sealed)
    read = []

    def decrypt(path: Path) -> Mapping[str, Any]:
        read.append(path.name)
        return {"ansible_become_password": "x", "district_site_code": "1"}

    assert len(messages(tmp_path, texts, decrypt=decrypt)) == 1
    assert read == ["vault.yml"]


def test_groups_say_the_rest(tmp_path: Path) -> None:
    oak = "roster_upload_feed: oak\ndistrict_name: Elm\n"
    groups = {"group_vars/all.yml": "district_site_code: '2'\ndistrict_product: math\n",
              "group_vars/sis_elm.yml": "district_site_code: '1'\n"}  # fmt: skip
    assert len(messages(tmp_path, of(MAPLE, oak, **groups))) == 1
    hosts = written.HOSTS_FILE.replace("        oak:\n", "        oak: {district_name: Fir}\n", 1)
    texts = of(MAPLE, "roster_upload_feed: oak\n", **groups, **{"hosts.yml": hosts})
    assert messages(tmp_path, texts) == []


def test_another_template_is_resolved_by_ansible(tmp_path: Path) -> None:
    oak = OTHER + "roster_upload_remote_dir: imagine/1-{{ district_name | title }}/product\n"
    seen = []

    def template(text: str, variables: Mapping[str, Any]) -> str:
        seen.append((text, variables["district_name"]))
        return "imagine/1-Elm/product"

    assert len(messages(tmp_path, of(MAPLE, oak), template)) == 1
    assert seen == [("imagine/1-{{ district_name | title }}/product", "Elm")]
