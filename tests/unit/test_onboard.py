"""New districts: written files, refused values, and that it is all or nothing."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible.plugins.loader import init_plugin_loader
from ansible.vars.manager import VariableManager
from hypothesis import given
from hypothesis import strategies as st
from roster_fleet import hostkey, inventory, onboard, vault, yamlfile
from roster_upload.host import atomic

ROOT = Path(__file__).resolve().parents[2]
KEY = b"this key opens the example only; replace it in your copy"
HEAD = "host,address,district,site_code,product,sis,region,feed,username,password"


@pytest.fixture(scope="module", autouse=True)
def ansible() -> None:
    init_plugin_loader()


@pytest.fixture
def keys() -> vault.Vault:
    return vault.Vault([("example", VaultSecret(KEY))])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an operator's copy of the example."""
    return Path(shutil.copytree(ROOT / "inventories" / "example", tmp_path / "example"))


def rows(*lines: str, head: str = HEAD, sealed: bool = True) -> list[onboard.District]:
    return onboard.from_csv("\n".join([head, *lines]).encode(), "new.csv", sealed=sealed)


def refused(folder: Path, keys: vault.Vault, districts: Sequence[onboard.District]) -> str:
    """Return the problems of districts. Assert that nothing was written."""
    before = content(folder)
    with pytest.raises(onboard.OnboardError) as error:
        onboard.plan(folder, districts, keys)
    assert content(folder) == before
    return str(error.value)


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


OAK = (
    'oak,oak.example.org,"Oak ""North"" County",0012345,literacy,PowerSchool,North,,r@oak.example,'
)


def test_a_district_is_a_few_lines(folder: Path, keys: vault.Vault) -> None:
    plan = onboard.plan(folder, rows(OAK + "it's {{ secret }}"), keys)
    onboard.write(plan.files)
    main = (folder / "host_vars/oak/main.yml").read_text()
    assert yaml.safe_load(main) == {
        "district_name": 'Oak "North" County',
        "district_site_code": "0012345",
        "roster_upload_feed": "oak-north-county",
        "roster_upload_username": "r@oak.example",
    }
    assert len(main.splitlines()) == 6
    sealed = folder / "host_vars/oak/oak-north-county.vault"
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600
    vault_id, text = keys.read(sealed)
    assert vault_id == "example"
    assert vault.parse(text, sealed)["secret"] == "it's {{ secret }}"
    assert b"secret }}" not in b"".join(content(folder).values())
    [feed] = inventory.read(folder, keys.secrets)["oak"].feeds
    assert feed["remote_dir"] == 'imagine/0012345-Oak "North" County/literacy'
    assert inventory.names(folder, [])["oak"] >= {
        "district_hosts",
        "product_literacy",
        "sis_powerschool",
        "region_north",
    }
    assert plan.report[0]["did"] == "added"


def test_hosts_yml_keeps_all_that_was_there(folder: Path, keys: vault.Vault) -> None:
    file = folder / "hosts.yml"
    text = file.read_text().replace("hosts:\n", "hosts: # all of them\n", 1)
    file.write_text(text + "    others:\n      hosts:\n        mail: # the mail server\n")
    before = file.read_text().splitlines()
    onboard.write(onboard.plan(folder, rows(OAK), keys).files)
    after = iter(file.read_text().splitlines())
    assert all(line in after for line in before)  # in the same order, as they were


@pytest.mark.parametrize(
    "text",
    [
        "---\ndistrict_hosts:\n",
        "district_hosts:\n  hosts:\n    a:\n",
        "all:\n    children:\n        district_hosts:\n            hosts:\n                a:\n",
        "all:\n  children:\n    others:\n",
        "all:\n  hosts:\n    b: {ansible_host: 192.0.2.1, port: '0022'}\n",
    ],
)
def test_hosts_yml_of_other_shapes(text: str) -> None:
    out = onboard.add_hosts(text, [rows(OAK)], Path("hosts.yml"))
    tree = yaml.safe_load(out)
    districts = onboard._parent_of(tree, "district_hosts")["district_hosts"]
    assert districts["hosts"]["oak"] == {"ansible_host": "oak.example.org"}
    assert "oak" in districts["children"]["region_north"]["hosts"]


def test_what_stands_in_hosts_yml_keeps_its_meaning() -> None:
    text = (
        "---\nall:\n  vars: {a: yes, b: 0755, d: !unsafe x}\n"
        "  children:\n    district_hosts:\n    empty:\n    big:\n      children:\n"
        "        region_north:\n"
    )
    out = onboard.add_hosts(text, [rows(OAK)], Path("hosts.yml"))
    assert "{a: yes, b: 0755, d: !unsafe x}" in out
    assert "    empty:\n" in out
    tree = yamlfile.plain(out)["all"]["children"]
    assert tree["big"]["children"]["region_north"] == {"hosts": {"oak": None}}
    assert "region_north" not in tree["district_hosts"]["children"]


@pytest.mark.parametrize("text", ["", "- a\n", "a: [\n", "a: 1\na: 2\n"])
def test_what_is_no_inventory_is_told(text: str) -> None:
    with pytest.raises(onboard.OnboardError, match=r"hosts\.yml"):
        onboard.add_hosts(text, [rows(OAK)], Path("hosts.yml"))


def test_the_same_again_changes_nothing(folder: Path, keys: vault.Vault) -> None:
    districts = rows(
        OAK + "pw", "two,,St. Mary's,1,,,,,m@x.example,", "two,,Peña,2,,,,,p@x.example,"
    )
    onboard.write(onboard.plan(folder, districts, keys).files)
    before = content(folder)
    plan = onboard.plan(folder, districts, keys)
    assert plan.files == []
    assert {line["did"] for line in plan.report} == {"unchanged"}
    onboard.write(plan.files)
    assert content(folder) == before


def test_a_password_may_come_later(folder: Path, keys: vault.Vault) -> None:
    plan = onboard.plan(folder, rows(OAK), keys)
    assert "ansible-vault create --encrypt-vault-id example" in plan.report[0]["note"]
    onboard.write(plan.files)
    [file] = onboard.plan(folder, rows(OAK + "pw"), keys).files
    assert file.path.name == "oak-north-county.vault"
    assert "pw" not in str(file.diff())


def test_the_next_passwords_of_many_come_by_the_csv(folder: Path, keys: vault.Vault) -> None:
    head = HEAD + ",next"
    with pytest.raises(onboard.OnboardError, match="there is no"):
        onboard.plan(folder, rows(OAK + ",new", head=head), keys)
    onboard.write(onboard.plan(folder, rows(OAK + "pw"), keys).files)
    with pytest.raises(onboard.OnboardError, match="next: lies in the clear"):
        rows(OAK + ",new", head=head, sealed=False)
    [district] = rows(OAK + ", new ", head=head)
    assert " new " not in repr(district)
    plan = onboard.plan(folder, [district], keys)
    assert "rotate_credentials.yml" in plan.report[0]["note"]
    assert plan.report[0]["did"] == "next password added"
    [file] = plan.files
    assert " new " not in str(file.diff())
    onboard.write(plan.files)
    entry = vault.parse(keys.read(file.path)[1], file.path)
    assert (entry["secret"], entry["next"]) == ("pw", " new ")
    again = onboard.plan(folder, [district], keys)
    assert (again.files, again.report[0]["did"]) == ([], "unchanged")
    # After it was added there is nothing left to do.
    keys.write(file.path, {"secret": " new ", "since": "2026-11-26"}, "example")
    again = onboard.plan(folder, rows(OAK + "pw, new ", head=head), keys)
    assert again.files == []
    assert "site.yml" in again.report[0]["note"]
    keys.write(file.path, {"since": "2026-11-26"}, "example")
    with_key = rows(OAK + ", new ,key", head=head + ",auth")
    main = folder / "host_vars/oak/main.yml"
    main.write_text(main.read_text() + "roster_upload_auth: key\n")
    assert "not by a key" in refused(folder, keys, with_key)


DIFFERENT = {
    "address": (OAK.replace("oak.example.org", "other.example.org"), "other.example.org"),
    "site code": (OAK.replace("0012345", "12345"), "imagine/12345-Oak"),
    "product": (OAK.replace("literacy", "math"), "product_math"),
    "region": (OAK.replace("North,,", "South,,"), "region_south"),
    "login": (OAK.replace("r@oak", "s@oak"), "s@oak.example"),
    "password": (OAK + "other", "rotation"),
    "feed": (OAK.replace("North,,", "North,second,"), "- feed: second"),
}


@pytest.mark.parametrize("case", DIFFERENT)
def test_what_differs_from_what_is_there_is_refused(
    case: str, folder: Path, keys: vault.Vault
) -> None:
    onboard.write(onboard.plan(folder, rows(OAK + "pw"), keys).files)
    row, named = DIFFERENT[case]
    told = refused(folder, keys, rows(row if row != OAK else row + "pw"))
    assert named in told
    assert "new.csv, row 2" in told
    assert "'pw'" not in told


def test_another_district_for_a_host_comes_with_the_list_of_all(
    folder: Path, keys: vault.Vault
) -> None:
    """The printed manual steps are complete: an implicit first step would be missed."""
    onboard.write(onboard.plan(folder, rows(OAK), keys).files)
    told = refused(folder, keys, rows("oak,,Fir,0000009,,,,,f@fir.example,"))
    assert "takes the place of the lines district_name, district_site_code" in told
    written = yaml.safe_load(told.partition(":\n")[2])
    feeds = written["roster_upload_feeds"]
    assert [feed["feed"] for feed in feeds] == ["oak-north-county", "fir"]
    assert feeds[0]["remote_dir"] == 'imagine/0012345-Oak "North" County/literacy'
    main = folder / "host_vars/oak/main.yml"
    main.write_text(yaml.safe_dump(written))
    fleet = inventory.read(folder, keys.secrets)
    assert [feed["feed"] for feed in fleet["oak"].feeds] == ["oak-north-county", "fir"]


def test_districts_of_one_host_name_their_products_where_the_groups_do(
    folder: Path, keys: vault.Vault
) -> None:
    group = folder / "group_vars/district_hosts/product.yml"
    group.write_text("district_product: literacy\n")
    several = ["x,,X,1,,,,,x@x.example,", "x,,Y,2,,,,,y@x.example,"]
    assert "product: is empty, but the groups say 'literacy'" in refused(
        folder, keys, rows(*several)
    )
    plan = onboard.plan(folder, rows(several[0]), keys)
    assert plan.files


TAKEN = {
    "feed": ("x,,X,1,,,,maple-grove,x@x.example,", "roster-maple has a feed of this name"),
    "remote file": ("x,,Maple Grove,1234567,,,,x,rosters@maplegrove.example,", "same remote file"),
    "login": ("x,,X,1,,,,,Rosters@MapleGrove.example,", "another district's (Maple Grove)"),
    "host": ("roster-maple,,X,1,,,,,x@x.example,", "roster_upload_feeds"),
    "no feed name": ("x,,東京,1,,,,,x@x.example,", "feed: cannot be made"),
    "site code of a spreadsheet": ("x,,X,1.23E+06,,,,,x@x.example,", "spreadsheet"),
    "a template": ("x,,{{ x }},1,,,,,x@x.example,", "{{"),
    "a path": ("x,,a/b,1,,,,,x@x.example,", "imagine/<site code>"),
    "another address": ("x,a b,X,1,,,,,x@x.example,", "not a host name"),
    "too few cells": ("x,,X", "3 cells"),
    "an option for an address": ("x,-oProxyCommand=id,X,1,,,,,x@x.example,", "not a host name"),
    "an option for a host": ("-oProxyCommand=id,,X,1,,,,,x@x.example,", "row 2, host"),
    "a path for a host": ("../x,,X,1,,,,,x@x.example,", "row 2, host"),
    "a path for a feed": ("x,,X,1,,,,../x,x@x.example,", "row 2, feed"),
    "every host": ("All,,X,1,,,,,x@x.example,", "means something else to Ansible"),
    "the control node": ("localhost,,X,1,,,,,x@x.example,", "means something else to Ansible"),
    "another host's variables": ("x.yml,,X,1,,,,,x@x.example,", "means something else to Ansible"),
    "a group's name": ("district_hosts,,X,1,,,,,x@x.example,", "the group district_hosts"),
    "a new group's name": ("sis_big,,X,1,,big,,,x@x.example,", "the group sis_big"),
    "a host but for its case": ("Roster-Maple,,X,1,,,,,x@x.example,", "named like roster-maple"),
    "a header of a template": ("x,,#jinja2:x,1,,,,,x@x.example,", "district: must not hold"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_cannot_be_is_refused(case: str, folder: Path, keys: vault.Vault) -> None:
    row, named = TAKEN[case]
    with pytest.raises(onboard.OnboardError) as error:
        onboard.plan(folder, rows(row), keys)
    assert named in str(error.value)
    assert "new.csv, row 2" in str(error.value)


COLUMN_VALUES = {
    "host": "x",
    "address": "x.example",
    "district": "X",
    "site_code": "1",
    "product": "p",
    "sis": "s",
    "region": "r",
    "feed": "f",
    "username": "x@x.example",
    "password": "pw",
    "next": "pw2",
    "source": "/mnt/x.zip",
    "remote_dir": "imagine/1-X/p",
}
# YAML ends a line at the first four. A terminal obeys the next two. The rest is invisible.
LINE_ENDS = ["\n", "\x85", "\u2028", "\u2029"]
FOREIGN = [*LINE_ENDS, "\x1b", "\x9b", "\0", "\x7f", "\u202e", "\u200b", "\xa0", "\ufeff"]


def test_the_columns_below_are_all_that_onboarding_names() -> None:
    assert {*COLUMN_VALUES} == {*(column.name for column in onboard.COLUMNS), "next"} | {
        "source",
        "remote_dir",
    }


@pytest.mark.parametrize("column", COLUMN_VALUES)
@pytest.mark.parametrize("foreign", FOREIGN, ids=ascii)
def test_every_column_takes_printable_characters_only(column: str, foreign: str) -> None:
    values = COLUMN_VALUES | {column: f"a{foreign}ansible_ssh_common_args: x"}
    with pytest.raises(onboard.OnboardError) as error:
        onboard.from_values(values, "new.csv, row 7")
    named = f"new.csv, row 7, {column}: holds U+{ord(foreign):04X}"
    assert any(problem.startswith(named) for problem in error.value.problems)
    assert str(error.value).replace("\n", "").isprintable()


@pytest.mark.parametrize("column", [c for c in COLUMN_VALUES if c not in onboard.SECRET])
@pytest.mark.parametrize("opened", ["{{ lookup('pipe', 'id') }}", "{% x %}", "{# x #}"])
def test_no_column_takes_a_template(column: str, opened: str) -> None:
    with pytest.raises(onboard.OnboardError) as error:
        onboard.from_values(COLUMN_VALUES | {column: f"a{opened}"}, "new.csv, row 7")
    assert any(p.startswith(f"new.csv, row 7, {column}: must not") for p in error.value.problems)


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
@pytest.mark.parametrize("column", ["sis", "region", "product"])
def test_a_group_is_no_way_around_the_check_of_cells(
    column: str, end: str, folder: Path, keys: vault.Vault
) -> None:
    """Even an unchecked value cannot mean anything else in a file."""
    cell = f"a{end}ansible_ssh_common_args: -oProxyCommand=id"
    district = onboard.from_values(COLUMN_VALUES | {"next": ""}, "it")
    changed: Any = {column: cell}
    onboard.write(onboard.plan(folder, [replace(district, **changed)], keys).files)
    assert "ansible_ssh_common_args" not in variables(folder, "x")[0]


def test_what_does_not_come_back_is_not_written(
    folder: Path, keys: vault.Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yamlfile, "text", str)
    told = refused(folder, keys, rows("x,,yes,007,,,,,x@x.example,"))
    assert "does not come back" in told


OWN = ("inventory_hostname", "inventory_hostname_short", "group_names", "groups")


def variables(folder: Path, *hosts: str) -> list[dict[str, Any]]:
    """Return the variables of each host as Ansible loads them, without its own."""
    loader = DataLoader()
    sources = InventoryManager(loader=loader, sources=[str(folder)], cache=False)
    manager = VariableManager(loader=loader, inventory=sources)
    found = (manager.get_vars(host=sources.hosts[host], include_hostvars=False) for host in hosts)
    return [{key: value for key, value in one.items() if key not in OWN} for one in found]


CELL = st.one_of(
    st.sampled_from(["", "-", "~", "yes", "0123", "1:30", "!unsafe x", "&a", "*a", "|", "a: b"]),
    st.sampled_from(
        ["#jinja2:x", "{ {", "${x}", "`id`", "$(id)", "..", "a #b", "' \"", "\\n", "ß"]
    ),
    st.sampled_from(
        ["a\u2028b: 1", "a\x85b: 1", "{{ 7 * 7 }}", "{%", "a\nb: 1", "-oProxyCommand=x"]
    ),
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=12),
    st.text(max_size=12),
)


SHORT = ("district", "product", "sis", "region", "username", "host", "address", "source")
PLAIN = {"host": "new", "feed": "new", "district": "X", "site_code": "7", "username": "x@x.example"}


@given(st.dictionaries(st.sampled_from(SHORT), CELL, min_size=1, max_size=2))
def test_ansible_loads_what_was_meant_or_the_row_is_refused(given: dict[str, str]) -> None:
    keys = vault.Vault([("example", VaultSecret(KEY))])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(ROOT / "inventories" / "example", Path(name) / "example"))
        try:
            district = onboard.from_values(PLAIN | given, "it")
            plan = onboard.plan(folder, [district], keys)
            before, shared = variables(folder, "roster-maple", "roster-region7")
            onboard.write(plan.files)
        except onboard.OnboardError:
            return
        del shared["roster_upload_feeds"], shared["ansible_host"]
        optional = {"district_product": district.product, "ansible_host": district.address}
        meant = district.alone() | {key: value for key, value in optional.items() if value}
        assert variables(folder, "roster-maple", district.host) == [before, shared | meant]


def test_problems_between_rows_are_all_told(folder: Path, keys: vault.Vault) -> None:
    told = refused(
        folder,
        keys,
        rows(
            "a,,A,1,,,,same,a@x.example,",
            "b,,B,2,,,,same,a@x.example,",
            "c,,C,3,,x,,c,c@x.example,",
            "c,,D,4,,y,,d,d@x.example,",
        ),
    )
    for part in ("row 2, feed", "row 3, feed", "row 2, username", "row 5, sis: 'y', but new.csv"):
        assert part in told


def test_problems_of_all_rows_are_told_at_once() -> None:
    with pytest.raises(onboard.OnboardError) as error:
        rows(",,A,1,,,,,a@x.example,", "b,,B,0 1,,,,,,")
    assert len(error.value.problems) == 3


def test_passwords_lie_in_no_file_in_the_clear() -> None:
    with pytest.raises(onboard.OnboardError, match="ansible-vault encrypt") as error:
        rows(OAK + "hush", sealed=False)
    assert "hush" not in str(error.value)
    assert "hush" not in repr(rows(OAK + "hush"))


def test_csv_as_spreadsheets_write_it() -> None:
    head, row = "Host;Site Code;District;Username;Source", "a;007;Pen\u0303a;x@x.example;/mnt/x.zip"
    text = f"\ufeff{head}\r\n{row}\r\n;;;;\r\n"
    [district] = onboard.from_csv(text.encode(), "x.csv", sealed=False)
    assert (district.site_code, district.district) == ("007", "Peña")
    assert district.more == {"source": "/mnt/x.zip"}
    with pytest.raises(onboard.OnboardError, match="line 2: is not UTF-8"):
        onboard.from_csv("host\nPeña".encode("cp1252"), "x.csv", sealed=False)
    with pytest.raises(onboard.OnboardError, match="did you mean site_code"):
        onboard.from_csv(b"host,sitecode,district,username\n", "x.csv", sealed=False)


def test_groups_say_what_a_district_does_not(folder: Path, keys: vault.Vault) -> None:
    home = folder / "group_vars" / "sis_powerschool"
    home.mkdir()
    text = "roster_upload_source: /srv/ps/{feed}.zip\nroster_credentials_vault_id: other\n"
    (home / "main.yml").write_text(text)
    assert "no key for the vault id 'other'" in refused(folder, keys, rows(OAK + "pw"))
    both = vault.Vault([*keys.secrets, ("other", VaultSecret(b"0123456789"))])
    onboard.write(onboard.plan(folder, rows(OAK + "pw"), both).files)
    assert (home / "main.yml").read_text() == text
    assert both.read(folder / "host_vars/oak/oak-north-county.vault")[0] == "other"
    [feed] = inventory.read(folder, [])["oak"].feeds
    assert feed["source"] == "/srv/ps/oak-north-county.zip"
    # The program checks the group's values, too.
    (home / "main.yml").write_text("roster_upload_deadline: soon\n")
    told = refused(folder, keys, rows(OAK.replace("oak", "elm").replace("Oak", "Elm")))
    assert "deadline: 'soon'" in told


def test_all_or_nothing(folder: Path, keys: vault.Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    files = onboard.plan(folder, rows(OAK + "pw"), keys).files
    before = content(folder)
    assert files[-1].path.name == "hosts.yml"
    for fail_at in range(len(files)):
        calls = iter(range(len(files)))
        real = atomic.replace

        def replace(path: Path, data: bytes) -> None:
            if next(calls, None) == fail_at:  # noqa: B023 - it is called at once
                raise OSError(28, "No space left on device")
            real(path, data)  # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(atomic, "replace", replace)
            with pytest.raises(OSError, match="No space"):
                onboard.write(files)
        assert content(folder) == before
        assert not (folder / "host_vars/oak").exists()


def test_after_a_kill_the_next_run_goes_on(folder: Path, keys: vault.Vault) -> None:
    onboard.write(onboard.plan(folder, rows(OAK + "pw"), keys).files[:-1])  # all but hosts.yml
    assert "oak" not in inventory.names(folder, [])
    plan = onboard.plan(folder, rows(OAK + "pw"), keys)
    assert [file.path.name for file in plan.files] == ["hosts.yml"]
    (folder / "host_vars/oak/main.yml").write_text("mine: 1\n")
    assert "says something else" in refused(folder, keys, rows(OAK + "pw"))


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)
)
def test_any_name_comes_back_from_yaml(name: str) -> None:
    district = onboard.District("x", "h", name, "007", name, "f")
    assert yaml.safe_load(onboard.render_host([district])) == district.alone()
    several = yaml.safe_load(onboard.render_host([district, district]))
    assert several == {"roster_upload_feeds": [district.among_others()] * 2}


@pytest.mark.parametrize(
    "value", ["yes", "No", "0123", "1:30", "1e3", "null", "~", "2026-01-01", "="]
)
def test_what_yaml_would_take_for_something_else_is_quoted(value: str) -> None:
    text = yamlfile.dump({"x": yamlfile.text(value)})
    assert yaml.safe_load(text) == {"x": value}


ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPnYyg29wp+52NcQKVv+8V0+4pa5RjDmFa8hpvjb9rX"


def test_a_pin_is_added_and_never_replaced() -> None:
    for before in ("", "---\n# why\na: 1\n", "---\nroster_upload_host_keys: []\n", "---\n# only\n"):
        after = hostkey.with_pin(before, ED25519)
        assert yaml.safe_load(after)["roster_upload_host_keys"] == [ED25519]
        assert all(word in after for word in before.replace("[]", "").split())
        with pytest.raises(hostkey.HostKeyError):
            hostkey.with_pin(after, ED25519)


def test_only_the_fingerprint_of_the_key_confirms_it() -> None:
    shown = hostkey.fingerprint(ED25519)
    assert shown.startswith("SHA256:")
    for answer in (shown, shown.removeprefix("SHA256:"), f" {shown}= ", "yes"):
        assert hostkey.confirmed([ED25519], answer) == ED25519
    for answer in ("y", "", shown.lower(), shown[:-1], "SHA256:"):
        with pytest.raises(hostkey.HostKeyError, match="pinned nothing"):
            hostkey.confirmed([ED25519], answer)
