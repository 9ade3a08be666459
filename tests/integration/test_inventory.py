"""A wrong inventory is refused before any host is touched, with variable, host and limits."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret
from support import forks

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.heavy


def site(inventory: Path, *arguments: str) -> tuple[int, str]:
    """Run `site.yml` on an inventory. Return its exit code and its output."""
    return forks.ansible("ansible-playbook", "playbooks/site.yml", "-i", inventory, *arguments)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Make an operator's copy of the example, whose hosts cannot be reached."""
    return Path(shutil.copytree(ROOT / "inventories" / "example", tmp_path / "example"))


def test_the_example_is_good_as_it_is(inventory: Path) -> None:
    code, told = site(inventory, "--tags", "validate")
    assert code == 0, told
    assert "unreachable=0" in told


def test_the_variables_of_a_playbook_that_imports_site_are_checked(
    inventory: Path, tmp_path: Path
) -> None:
    playbook = tmp_path / "mine.yml"
    values = {"wanted": "oneroster-2", "roster_upload_format": "{{ wanted }}"}
    imported = {"import_playbook": str(ROOT / "playbooks/site.yml"), "vars": values}
    playbook.write_text(json.dumps([imported]))
    code, told = forks.ansible("ansible-playbook", playbook, "-i", inventory, "--tags", "validate")
    assert code != 0
    assert "value of roster_upload_format must be one of" in told


TWO_FEEDS = [
    {
        "feed": f"{name}-county",
        "district": name,
        "username": f"{name}@county.example",
        "remote_dir": f"imagine/1-{name}/product",
    }
    for name in ("oak", "pine")
]

# By the task that finds the problem and stops the run: the host that is copied, its wrong values,
# and the names in the message.
BY_PASSWORD = {"user": "sis-maple", "networks": ["192.0.2.0/24"], "password": True}
WRONG: dict[str, dict[str, tuple[str, dict[str, object], list[str]]]] = {
    "the feeds' variables": {
        "unknown format": (
            "roster-maple",
            {"roster_upload_format": "oneroster-2"},
            ["roster_upload_format", "oneroster-2", "oneroster-1.1"],
        ),
    },
    "the feeds": {
        "upload path without site code": (
            "roster-maple",
            {"roster_upload_remote_dir": "imagine/maplegrove/product"},
            ["roster_upload_remote_dir", "imagine/<site code>-<district name>"],
        ),
        "window after the deadline": (
            "roster-maple",
            {"roster_upload_window_start": "09:30"},
            ["roster_upload_window_start", "09:30", "09:00"],
        ),
        "an alert's URL that stays on the host": (
            "roster-maple",
            {"roster_upload_alert_urls": ["ntfy://rosters", "syslog://hush"]},
            ["roster_upload_alert_urls: entry 2: syslog:// is not allowed"],
        ),
        "an alert's URL that Apprise does not know": (
            "roster-maple",
            {"roster_upload_alert_urls": ["ntfy://rosters", "nonsense://hush"]},
            ["maple-grove: roster_upload_alert_urls: entry 2: nonsense://: Apprise", "wiki lists"],
        ),
        "unpinned host key": (
            "roster-maple",
            {"roster_upload_host_keys": []},
            ["roster_upload_host_keys", "pin"],
        ),
        "two feeds of one name": (
            "roster-region7",
            {"roster_upload_feeds": [TWO_FEEDS[0], {**TWO_FEEDS[1], "feed": "oak-county"}]},
            ["roster_upload_feeds", "oak-county"],
        ),
        "two feeds of one remote path": (
            "roster-region7",
            {
                "roster_upload_feeds": [
                    TWO_FEEDS[0],
                    {**TWO_FEEDS[1], "remote_dir": TWO_FEEDS[0]["remote_dir"]},
                ]
            },
            ["roster_upload_feeds", "-oak/product"],
        ),
        "a value of a feed in a list": (
            "roster-region7",
            {"roster_upload_feeds": [TWO_FEEDS[0], {**TWO_FEEDS[1], "auth": "smartcard"}]},
            ["roster_upload_feeds[1].auth", "smartcard", "password"],
        ),
    },
    "the hardening": {
        "a network that is none": (
            "roster-maple",
            {"district_hardening_inbound_networks": ["everywhere"]},
            ["district_hardening_inbound_networks", "everywhere", "10.0.0.0/8"],
        ),
        "root, who is about to be locked out": (
            "roster-maple",
            {"ansible_user": "root"},
            ["ansible_user", "district_hardening_ssh_permit_root_login"],
        ),
    },
    "the inboxes' variables": {
        "a folder that is neither": (
            "roster-maple",
            {"sis_inbox_folder": "/home"},
            ["sis_inbox_folder", "/srv/sis-inbox"],
        ),
    },
    "the inboxes": {
        "a user that is none": (
            "roster-maple",
            {"sis_inbox_accounts": [{"user": "SIS", "networks": [], "authorized_keys": []}]},
            ["sis_inbox_accounts", "SIS", "sis-maple"],
        ),
        "an export of an earlier release": (
            "roster-maple",
            {"roster_upload_source": "/srv/dropbox/sis-maple/incoming/OneRoster.zip"},
            ["/srv/dropbox/sis-maple/incoming/OneRoster.zip", "sis_inbox_folder: /srv/dropbox"],
        ),
        "a port of two servers": (
            "roster-maple",
            {"sis_inbox_port": 22, "sis_inbox_accounts": [BY_PASSWORD]},
            ["sis_inbox_port", "22", "district_hardening_ssh_ports", "2222"],
        ),
        "a password in the inventory": (
            "roster-maple",
            {"sis_inbox_accounts": [{**BY_PASSWORD, "password": "hush hush"}]},
            ["sis_inbox_accounts", "sis-maple", "true or false", "inboxes.vault"],
        ),
        "a password that no vault file has": (
            "roster-maple",
            {"sis_inbox_accounts": [BY_PASSWORD]},
            [
                "sis_inbox_accounts",
                "sis-maple",
                "inboxes.vault has no line",
                "ansible-vault create --encrypt-vault-id example",
            ],
        ),
    },
    "the schedule's variables": {
        "a wrong choice": (
            "roster-maple",
            {"roster_schedule_backend": "at"},
            ["roster_schedule_backend", "cron, timer"],
        ),
    },
    "the schedule": {
        "start after the deadline": (
            "roster-maple",
            {"roster_schedule_retries": ["09:30"]},
            ["09:30", "09:00", "maple-grove"],
        ),
    },
}


PLAIN = {ord(mark): "" for mark in ",'"}


@pytest.mark.parametrize("task", WRONG)
def test_wrong_variables_stop_the_run(task: str, inventory: Path) -> None:
    """Each is on a host of its own."""
    cases = {case.replace(" ", "-").translate(PLAIN): told for case, told in WRONG[task].items()}
    for number, (name, (host, values, _)) in enumerate(cases.items()):
        folder = shutil.copytree(inventory / "host_vars" / host, inventory / "host_vars" / name)
        # No two hosts deliver to the same place.
        feeds = {"roster_upload_feeds": TWO_FEEDS} if host == "roster-region7" else {}
        text = json.dumps({"district_site_code": f"{number}", **feeds, **values})
        (folder / "zz_wrong.yml").write_text(text.replace("imagine/1-", f"imagine/{number}-"))
    hosts = {name: {"ansible_host": f"{name}.example.org"} for name in cases}
    groups = {"district_hosts": {"hosts": hosts}}
    (inventory / "more.json").write_text(json.dumps({"all": {"children": groups}}))
    code, told = site(inventory, "--limit", ",".join(cases))
    assert code != 0
    assert "unreachable=0" in told
    assert "UNREACHABLE" not in told  # no host was touched: these do not exist
    assert "Gathering Facts" not in told
    for name, (*_, named) in cases.items():
        _, found, rest = told.partition(f"fatal: [{name}]: FAILED!")
        assert found, name
        plain = " ".join(rest.partition("fatal: [")[0].partition("PLAY RECAP")[0].split())
        for part in named:
            assert part in plain
    assert "hush" not in told


# By a playbook: what an operator adds to files, and parts of one message each.
SLIPS = {
    "host_vars/roster-maple/main.yml": "\
roster_upload_blackout: [2026-12-24]\nroster_upload_window_start: 16:00\n",
    "host_vars/roster-region7/zz.yml": "\
roster_upload_feeds:\n- {feed: oak, remote_dri: x, mail_to: [a@b.c]}\n",
    "group_vars/district_hosts/zz.yml": "rosterupload_deadline: '10:00'\n",
    "more.yml": "district_hosts: {hosts: {twin: }}\n",
    "host_vars/twin.yml": "\
district_name: Maple Grove\ndistrict_site_code: '1234567'\nroster_upload_feed: twin\n",
}
SENTENCES = (
    "-e: roster_feeds: there is no such variable. Did you mean roster_feed?",
    ":1:1: group district_hosts: rosterupload_deadline: there is no such variable. Did you mean",
    ":14:1: host roster-maple: roster_upload_blackout: there is no such variable. Did you mean",
    ":15:29: host roster-maple: roster_upload_window_start: YAML reads 16:00 as the number 960.",
    ":2:15: host roster-region7: roster_upload_feeds: remote_dri is not a key of a feed. Did you",
    ":2:30: host roster-region7: roster_upload_feeds: mail_to: this variable no longer exists.",
    "maple-grove of roster-maple and twin of twin deliver to the same file, imagine/1234567-Maple",
)


def test_all_mistakes_are_named_at_once_before_any_host(inventory: Path) -> None:
    for name, text in SLIPS.items():
        with (inventory / name).open("a") as file:
            file.write(text)
    words = ["-i", inventory, "-e", "roster_feeds=x"]
    code, told = forks.ansible("ansible-playbook", "playbooks/send.yml", *words)
    assert code == 2, told
    plain = " ".join(told.partition("fatal: ")[2].split())
    for sentence in SENTENCES:
        assert plain.count(sentence) == 1, sentence
    assert "PLAY [Send]" not in told
    assert "send: no host was touched. The message above says why" in told
    assert "not begun" not in told
    # Those of other hosts do not stop a run, and two of one place stop either.
    only = ["--tags", "validate", "--limit"]
    (inventory / "group_vars/district_hosts/zz.yml").unlink()
    code, told = site(inventory, *only, "roster-region7")
    assert "[WARNING]: " in told
    assert "roster_upload_blackout: there is no such" in told.replace("\n", " ")
    assert "remote_dri is not a key" in told.partition("fatal: ")[2]
    assert "roster-maple" not in told.partition("fatal: ")[2].partition("PLAY RECAP")[0]
    assert code == 2
    code, told = site(inventory, *only, "twin")
    assert code == 2
    assert "deliver to the same file" in told.partition("fatal: ")[2]


def test_a_file_that_is_not_yaml_is_named_with_its_host(inventory: Path) -> None:
    path = inventory / "host_vars/roster-maple/main.yml"
    path.write_text(path.read_text() + "  x: [1\n")
    code, told = site(inventory, "--tags", "validate")
    assert code == 4
    assert f"{path}:14:3: host roster-maple: this is not YAML: " in told
    assert "no host was touched" in told
    code, told = site(inventory, "--tags", "validate", "--limit", "roster-region7")
    assert code == 0, told
    assert f"[WARNING]: {path}:14:3: host roster-maple: this is not YAML: " in " ".join(
        told.split()
    )
    assert "(not in this run's --limit)" in told


def test_an_inventory_without_hosts_is_refused(inventory: Path) -> None:
    hosts = inventory / "hosts.yml"
    hosts.write_text("all: {children: {district_hosts: }}\n")
    code, told = site(inventory, "--tags", "validate")
    assert code == 4
    assert f"{inventory}: no host is in the group district_hosts" in told
    code, told = site(inventory, "--syntax-check")  # it needs no inventory, as in CI
    assert code == 0, told
    hosts.write_text("all: [\n")
    for more in ([], ["--limit", "roster-maple"]):
        code, told = site(inventory, "--tags", "validate", *more)
        assert code == 4
        assert f"{hosts}:2:1: list of hosts: this is not YAML" in told


def test_a_missing_vault_entry_stops_the_run(inventory: Path) -> None:
    (inventory / "host_vars" / "roster-region7" / "pine-ridge.vault").unlink()
    code, told = site(inventory, "--limit", "roster-region7")
    assert code != 0
    plain = " ".join(told.split())
    for part in (
        "roster-region7: no secret for pine-ridge",
        "ansible-vault create --encrypt-vault-id example",
        "pine-ridge.vault",
    ):
        assert part in plain
    assert "Gathering Facts" not in told


# ---- public keys ---------------------------------------------------------------------------

ONE_HOST = ["--tags", "validate", "--limit", "roster-maple"]
OWN = VaultSecret(b"a key of some length that is not in git")


@pytest.fixture
def mine(inventory: Path) -> Path:
    """Make an operator's own inventory, which began as a copy of the example."""
    return inventory.rename(inventory.with_name("mydistrict"))


def seal(path: Path, text: str, vault_id: str, key: VaultSecret) -> None:
    path.write_bytes(VaultLib([(vault_id, key)]).encrypt(text, key, vault_id))


def with_own_key(folder: Path) -> list[str]:
    """Encrypt all vault files with a key of the operator's own. Return Ansible's arguments."""
    for path in folder.glob("host_vars/*/*.vault"):
        is_of_feed = path.name != "alerts.vault"
        text = "secret: 'hush hush'\nsince: '2026-11-01'\n" if is_of_feed else "heartbeat: 'x'\n"
        seal(path, text, "mydistrict", OWN)
    key = folder.with_name("key")
    key.write_bytes(OWN.bytes)
    return [*ONE_HOST, "--vault-id", f"mydistrict@{key}"]


def refused_run(folder: Path, *arguments: str, **more: str) -> str:
    """Return the output of a run that must fail without showing a secret."""
    done = forks.of_ansible(
        "ansible-playbook", "playbooks/site.yml", "-i", folder, *arguments,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **more},
    )  # fmt: skip
    told = done.stdout + done.stderr
    assert done.returncode != 0, told
    assert "hush hush" not in told
    return " ".join(told.split())


def test_the_key_of_the_example_opens_no_inventory_of_ones_own(mine: Path) -> None:
    told = refused_run(mine, *ONE_HOST)
    assert "opens with a key that is in git and known to everybody" in told
    assert "maple-grove.vault" in told
    # Neither under your own vault id, nor for files that Ansible opens itself.
    arguments = with_own_key(mine)
    assert site(mine, *arguments)[0] == 0
    public = VaultSecret((mine / "vault-key.txt").read_bytes().strip())
    path = mine / "group_vars" / "all" / "vault.yml"
    for text in (
        VaultLib().encrypt("a: hush hush", public, "example"),
        b"a: !vault |\n  " + VaultLib().encrypt("hush hush", public).replace(b"\n", b"\n  "),
    ):
        path.write_bytes(text)
        told = refused_run(mine, *arguments)
        assert f"{path} opens with a key that is in git" in told
    path.unlink()
    seal(mine / "host_vars/roster-maple/maple-grove.vault", "secret: 'x'", "mydistrict", public)
    named = [*arguments[:-1], f"mydistrict@{mine / 'vault-key.txt'}"]
    assert "opens with a key that is in git" in refused_run(mine, *named)


def test_nothing_new_is_encrypted_with_the_key_of_the_example(mine: Path) -> None:
    with_own_key(mine)
    new = {"host": "a", "district": "A", "site_code": "1", "username": "a@x.example"}
    table = mine.with_name("new.csv")
    seal(
        table, f"{','.join(new)},password\n{','.join(new.values())},hush hush\n", "mydistrict", OWN
    )
    before = sorted(mine.rglob("*"))
    arguments = ["-e", f"onboard_csv={table}", "--vault-id", f"mydistrict@{mine.with_name('key')}"]
    arguments += ["-e", "roster_credentials_vault_id=example"]
    group = mine / "group_vars" / "district_hosts" / "main.yml"
    group.write_text(group.read_text() + "roster_credentials_vault_id: example\n")
    done = forks.ansible("ansible-playbook", "playbooks/onboard.yml", "-i", mine, *arguments)
    assert done[0] != 0
    assert "the key of the vault id 'example' is in git" in " ".join(done[1].split())
    assert sorted(mine.rglob("*")) == before


def test_a_sealed_url_of_an_alert_is_named_by_its_file_and_position(mine: Path) -> None:
    words = with_own_key(mine)
    path = mine / "host_vars/roster-maple/alerts.vault"
    seal(path, "urls: ['ntfy://rosters', 'slack://hush hush']\n", "mydistrict", OWN)
    told = refused_run(mine, *words)
    assert "UNREACHABLE" not in told
    assert f"roster-maple: {path}: urls: entry 2: slack:// must not hold spaces" in told


def test_secrets_from_elsewhere_are_not_shown_either(mine: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "secrets.json"
    feeds = ("maple-grove", "oak-county", "pine-ridge")
    secrets = {feed: {"secret": "hush hush", "since": "2026-11-01"} for feed in feeds}
    elsewhere.write_text(json.dumps({"roster_credentials_secrets": secrets}))
    arguments = [*with_own_key(mine), "-e", f"@{elsewhere}"]
    assert site(mine, *arguments)[0] == 0
    told = refused_run(mine, *arguments, ANSIBLE_KEEP_REMOTE_FILES="1")
    assert "Unset ANSIBLE_KEEP_REMOTE_FILES" in told


@pytest.mark.parametrize(
    ("name", "origin"), [("debug", "environment"), ("keep_remote_files", "file")]
)
def test_no_secret_is_opened_while_ansible_would_show_it(
    name: str, origin: str, mine: Path, tmp_path: Path
) -> None:
    arguments = with_own_key(mine)
    variable = f"ANSIBLE_{name.upper()}"
    more = {variable: "1"}
    if origin == "file":
        config = tmp_path / "ansible.cfg"
        text = (
            (ROOT / "ansible.cfg")
            .read_text()
            .replace("roles_path = roles", f"roles_path = {ROOT}/roles")
        )
        config.write_text(text.replace("[defaults]", f"[defaults]\n{name} = true"))
        more = {"ANSIBLE_CONFIG": str(config)}
    told = refused_run(mine, *arguments, **more)
    assert f"Ansible would show the secrets, so none is opened. Unset {variable}" in told
