"""onboard.yml and rekey_vault.yml as an operator runs them, on a copy of the example."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from support import forks, waiting

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.heavy
BIN = Path(sys.executable).parent
OLD = VaultSecret(b"this key opens the example only; replace it in your copy")
NEW = VaultSecret(b"a new key of more than sixteen characters")
HEAD = "host,district,site_code,product,sis,region,username,password\n"
SEVERAL = 30
LATEST_SECONDS = 1800  # only what hangs takes so long


def onboard(inventory: Path, *arguments: object) -> tuple[int, str]:
    return forks.ansible("ansible-playbook", "playbooks/onboard.yml", "-i", inventory, *arguments)


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Make an operator's copy of the example, whose vendor cannot be reached."""
    folder = Path(shutil.copytree(ROOT / "inventories" / "example", tmp_path / "example"))
    serve(folder, 1, pinned=True)
    return folder


def opened_vault(path: Path) -> dict[str, str]:
    """Return the content of a vault file."""
    loaded = yaml.safe_load(VaultLib([("example", OLD)]).decrypt(path.read_bytes()))
    return dict(loaded)


def serve(folder: Path, port: int, *, pinned: bool) -> None:
    """Let a port of this machine be an inventory's vendor."""
    file = folder / "group_vars/district_hosts/main.yml"
    values = yaml.safe_load(file.read_text())
    values |= {"roster_upload_remote_host": "127.0.0.1", "roster_upload_remote_port": port}
    if not pinned:
        del values["roster_upload_host_keys"]
    file.write_text("---\n# What all share.\n" + yaml.safe_dump(values))


@contextlib.contextmanager
def server() -> Iterator[tuple[int, asyncssh.SSHKey]]:
    """Run a vendor's server on loopback. Yield its port and its host key."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    loop = asyncio.new_event_loop()
    listener = loop.run_until_complete(
        asyncssh.listen("127.0.0.1", 0, server_host_keys=[key], process_factory=None)
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listener.get_port(), key
    finally:
        loop.call_soon_threadsafe(listener.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def type_in(terminal: int, pid: int, answer: bytes) -> None:
    """Type an answer once Ansible listens, because it discards earlier input."""

    def listens() -> bool:  # without blocking, once it has discarded that
        flags = Path(f"/proc/{pid}/fdinfo/0").read_text().partition("flags:")[2].split()[0]
        return bool(int(flags, 8) & os.O_NONBLOCK)

    waiting.until(listens, "a question")
    os.write(terminal, answer)


def typed(inventory: Path, answers: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Onboard in a terminal. Answer each question by its text."""
    terminal, inner = pty.openpty()
    shown, asked = b"", dict(answers)
    with subprocess.Popen(
        [BIN / "ansible-playbook", "playbooks/onboard.yml", "-i", inventory, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "TERM": "xterm",
            "COLUMNS": "200",
        },
        stdin=inner,
        stdout=inner,
        stderr=inner,
        # Ansible asks only the owner of the terminal.
        preexec_fn=lambda: os.login_tty(os.dup(inner)),  # noqa: PLW1509
    ) as client:
        os.close(inner)
        end = threading.Timer(LATEST_SECONDS, client.kill)
        end.start()
        with contextlib.suppress(OSError):  # the end of a terminal
            seen = 0
            while chunk := os.read(terminal, 4096):
                shown += chunk
                for question in list(asked):
                    if (at := shown.find(question.encode(), seen)) >= 0 and b": \r" in shown[at:]:
                        seen = len(shown)
                        answer = asked.pop(question).encode()
                        threading.Thread(
                            target=type_in, args=[terminal, client.pid, answer]
                        ).start()
        end.cancel()
    os.close(terminal)
    assert not asked, shown.decode()
    return client.returncode, shown.decode()


QUESTIONS = {
    "host: ": "pena\r",
    "address: ": "pena.example.org\r",
    "district: ": 'Pe\u00f1a\'s "Blanca"\r',
    "site_code: ": "0012345\r",
    "product: ": "\r",
    "sis: ": "PowerSchool\r",
    "region: ": "\r",
    "feed: ": "\r",
    "username: ": "rosters@pena.example\r",
    "password: ": "{{ it's }} hush\r",
    "export: ": "inbox\r",
    "inbox_user: ": "sis-pena\r",
    "inbox_auth: ": "password\r",
    "inbox_password: ": "\r",
    "inbox_networks: ": "203.0.113.9\r",
    "Enter to write, ": "\r",
}


def test_questions_about_one_district(inventory: Path) -> None:
    before = content(inventory)
    code, told = typed(inventory, QUESTIONS | {"Enter to write, ": "\x03"})
    assert code != 0
    assert "Nothing was written" in told
    assert content(inventory) == before
    code, told = typed(inventory, QUESTIONS)
    assert code == 0, told
    assert "hush" not in told
    assert f"ansible-playbook playbooks/site.yml -i {inventory} --limit pena --check" in told
    assert yaml.safe_load((inventory / "host_vars/pena/main.yml").read_text()) == {
        "district_name": 'Pe\u00f1a\'s "Blanca"',
        "district_site_code": "0012345",
        "roster_upload_feed": "penas-blanca",
        "roster_upload_username": "rosters@pena.example",
        "roster_upload_source": "/srv/sis-inbox/sis-pena/incoming/OneRoster.zip",
        "sis_inbox_accounts": [
            {"user": "sis-pena", "networks": ["203.0.113.9/32"], "password": True}
        ],
    }
    generated = opened_vault(inventory / "host_vars/pena/inboxes.vault")["sis-pena"]
    assert generated not in told
    assert "Type this into the SIS of Pe\u00f1a's" in told
    assert f"ansible-vault view {inventory}/host_vars/pena/inboxes.vault" in told
    opened = opened_vault(inventory / "host_vars/pena/penas-blanca.vault")
    assert opened["secret"] == "{{ it's }} hush"
    code, told = forks.ansible(
        "ansible-playbook", "playbooks/site.yml", "-i", inventory, "--tags=validate"
    )
    assert code == 0, told


def test_many_districts_from_a_csv(inventory: Path, tmp_path: Path) -> None:
    lines = (
        f'host{number},"St. Mary\'s, N\u00ba {number}",{number:07},literacy,PowerSchool,North,'
        f"r{number}@x.example,hush-{number}\n"
        for number in range(SEVERAL)
    )
    table = tmp_path / "new.csv"
    sealed = VaultLib([("example", OLD)]).encrypt(HEAD + "".join(lines), OLD, "example")
    table.write_bytes(sealed)
    untouched = content(inventory)
    extra = ["-e", f"onboard_csv={table}"]

    code, told = onboard(inventory, *extra, "--check", "--diff")
    assert code == 0, told
    assert content(inventory) == untouched
    assert f'+district_site_code: "{SEVERAL - 1:07}"' in told
    assert "encrypted for the vault id example; not shown" in told
    assert "hush-" not in told
    assert told.count("would be added") == SEVERAL

    code, told = onboard(inventory, *extra)
    assert code == 0, told
    assert "changed=1" in told
    assert told.count("site.yml") == SEVERAL + 3  # and the next steps
    written = content(inventory)
    assert len(written) == len(untouched) + 2 * SEVERAL + 3  # three groups

    code, told = onboard(inventory, *extra)
    assert code == 0, told
    assert "changed=0" in told
    assert told.count("unchanged") == SEVERAL
    assert content(inventory) == written

    code, told = forks.ansible("ansible-inventory", "-i", inventory, "--list")
    assert code == 0
    assert f"{SEVERAL - 1:07}" in told
    assert "hush-" not in told
    assert b"hush-" not in b"".join(content(inventory).values())

    limit = ["--tags=validate", "--limit", f"host0,host{SEVERAL // 2},host{SEVERAL - 1}"]
    code, told = forks.ansible("ansible-playbook", "playbooks/site.yml", "-i", inventory, *limit)
    assert code == 0, told


def test_what_is_wrong_is_told_at_once_and_nothing_is_written(
    inventory: Path, tmp_path: Path
) -> None:
    table = tmp_path / "new.csv"
    table.write_text(
        HEAD
        + "a,A,1,,,,rosters@maplegrove.example,\n"
        + "roster-maple,Maple Grove,7654321,,,,rosters@maplegrove.example,\n"
    )
    before = content(inventory)
    code, told = onboard(inventory, "-e", f"onboard_csv={table}")
    assert code != 0
    for part in (
        "row 2, username: 'rosters@maplegrove.example' is also the login of maple-grove",
        "'imagine/7654321-Maple Grove', but the inventory has 'imagine/1234567-Maple Grove'",
        "host_vars/roster-maple/main.yml",
    ):
        assert part in flat(told)
    assert content(inventory) == before
    table.write_text(HEAD + "a,A,1,,,,a@x.example,hush\n")
    code, told = onboard(inventory, "-e", f"onboard_csv={table}")
    assert code != 0
    assert "ansible-vault encrypt" in flat(told)
    assert "hush" not in told
    assert content(inventory) == before


def test_no_cell_of_a_csv_runs_anything(inventory: Path, tmp_path: Path) -> None:
    """Real Ansible, and a canary that each of the cells would create."""
    canary = tmp_path / "canary"
    run = f"touch {canary}"
    hostile = [
        f"a,A,1,,p{end}ansible_ssh_common_args: -oProxyCommand='{run}',,a@x.example,"
        for end in ("\x85", "\u2028", "\u2029")
    ]
    hostile += [
        f"a,\"{{{{ lookup('pipe', '{run}') }}}}\",1,,,,a@x.example,",
        f"a,A,1,,\"{{{{ lookup('pipe', '{run}') }}}}\",,a@x.example,",
        f'"-oProxyCommand={run}",A,1,,,,a@x.example,',
        f"a,A,1,,,,\"{{% set _ = lookup('pipe', '{run}') %}}\",",
    ]
    table = tmp_path / "new.csv"
    table.write_text(HEAD + "\n".join(hostile), encoding="utf-8")
    before = content(inventory)
    code, told = onboard(inventory, "-e", f"onboard_csv={table}")
    assert code != 0
    for number in range(2, 2 + len(hostile)):
        assert f"new.csv, row {number}, " in told
    assert content(inventory) == before
    assert not canary.exists()


def test_odd_cells_mean_what_they_say(inventory: Path, tmp_path: Path) -> None:
    """Allowed text comes out of real Ansible unchanged, and nothing else is allowed."""
    odd = {"a": "yes", "b": "!unsafe x", "c": "$(id) `id` #", "d": "{ { 7*7 } } x", "e": "' \"x"}
    table = tmp_path / "new.csv"
    with table.open("w") as out:
        out.write(HEAD)
        csv.writer(out).writerows(
            [host, name, f"{number:03}", f"{host}: 1", "", "", f"{host}@x.example", ""]
            for number, (host, name) in enumerate(odd.items())
        )
    _, told = onboard(inventory, "-e", f"onboard_csv={table}")
    assert "added" in told
    code, told = forks.ansible("ansible-inventory", "--list", "-i", inventory)
    assert code == 0, told
    loaded = json.loads(told[told.index("{") :])["_meta"]["hostvars"]
    shared = loaded["roster-maple"].keys() - {"ansible_host"} | {"district_product"}
    for number, (host, name) in enumerate(odd.items()):
        assert loaded[host].keys() == shared
        assert loaded[host]["district_name"] == name
        assert loaded[host]["district_site_code"] == f"{number:03}"
        assert loaded[host]["district_product"] == f"{host}: 1"


LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPnYyg29wp+52NcQKVv+8V0+4pa5RjDmFa8hpvjb9rX"
ONE = {"host": "a", "district": "A", "site_code": "007", "username": "a@x.example"}


def values(**more: str) -> list[str]:
    return [
        word for key, text in {**ONE, **more}.items() for word in ("-e", f"onboard_{key}={text}")
    ]


def test_without_a_terminal_all_is_given(inventory: Path) -> None:
    code, told = onboard(inventory, "-e", "onboard_host=a")
    assert code != 0
    assert "the district, site_code: is missing" in flat(told)
    code, told = onboard(inventory, *values(password="hush"))
    assert code != 0
    assert "onboard_password is not allowed" in flat(told)
    code, told = onboard(inventory, *values(sitecode="1"))
    assert code != 0
    assert "onboard_sitecode is unknown" in flat(told)
    fetched = {"onboard_source": "sftp://a@127.0.0.1:1/out/*.zip", "onboard_source_host_key": LINE}
    code, told = onboard(inventory, *values(), "-e", json.dumps(fetched))
    assert code == 0, told
    assert "no password yet: ansible-vault create --encrypt-vault-id example" in flat(told)
    assert "with the same lines, indented below source:" in flat(told)
    assert "Let the SIS's server 127.0.0.1 accept SFTP logins from a." in told
    written = (inventory / "host_vars/a/main.yml").read_text()
    assert 'district_site_code: "007"' in written
    assert f"roster_upload_source_host_keys:\n  - {LINE}\n" in written


def test_the_host_key_is_pinned_once_it_is_confirmed(inventory: Path) -> None:
    pins = inventory / "group_vars/district_hosts/main.yml"
    with server() as (port, key):
        serve(inventory, port, pinned=False)
        unpinned = pins.read_text()
        shown = key.get_fingerprint()
        code, told = onboard(inventory, *values())
        assert code != 0
        assert f"{shown}, which nobody has confirmed" in flat(told)
        assert "nothing can be delivered before the host key is pinned" in flat(told)
        assert pins.read_text() == unpinned
        wrong = "SHA256:" + "A" * 43
        code, told = onboard(inventory, *values(fingerprint=wrong))
        assert code != 0
        assert "Nothing was pinned" in flat(told)
        assert re.search(r"A +a +a +unchanged", told), told  # the rest is reported, too
        assert "What comes next" not in told
        assert pins.read_text() == unpinned
        code, told = onboard(inventory, *values(fingerprint=shown), "--check", "--diff")
        assert code == 0, told
        assert "+roster_upload_host_keys" in told
        assert "host key would be pinned" in flat(told)
        assert pins.read_text() == unpinned
        given = [*values(address="", product="", sis="", region="", feed="a", export="later")]
        answers = {"password: ": "\r", "type yes after": f"{wrong}\r"}
        again = {"is not a fingerprint of the server": f"{shown}\r", "Enter to write, ": "\r"}
        code, told = typed(inventory, answers | again, *given)
        assert code == 0, told
        after = pins.read_text()
        assert after.startswith(unpinned.rstrip())
        public = " ".join(key.export_public_key().decode().split()[:2])
        assert yaml.safe_load(after)["roster_upload_host_keys"] == [public]
        code, told = onboard(inventory, *values())
        assert "host key is the pinned one" in flat(told)
    code, told = onboard(inventory, *values())
    assert code == 0, told
    assert "host key not compared" in flat(told)
    with server() as (port, _):
        serve(inventory, port, pinned=True)
        before = pins.read_text()
        code, told = onboard(inventory, *values())
        assert code != 0
        assert "host key IS ANOTHER" in told
        assert f"but {shown} is pinned" in flat(told)
        assert pins.read_text() == before


def test_feeds_that_are_decommissioned_leave_the_inventory(inventory: Path, tmp_path: Path) -> None:
    """The last tasks of decommission.yml, which change the inventory only, for two hosts."""
    tasks = yaml.safe_load((ROOT / "playbooks/decommission.yml").read_text())[-1]["tasks"]
    first = [task["name"] for task in tasks].index("Remember what has left this host")
    going = {"roster-maple": "maple-grove", "roster-region7": "oak-county"}
    feeds = {host: [{"feed": f, "district": f, "source": "/mnt/x"}] for host, f in going.items()}
    play = {
        "hosts": "district_hosts",
        "connection": "local",
        "gather_facts": False,
        "roles": ["roster_common"],
        "vars": {
            "decommission_feeds": "{{ %s[inventory_hostname] }}" % feeds,  # noqa: UP031
            "decommission_staying": "{{ [1] if inventory_hostname == 'roster-region7' else [] }}",
            "decommission_inboxes": [],
            "decommission_fetched": {"results": []},
        },
        "tasks": tasks[first:],
    }
    book = tmp_path / "decommission.yml"
    book.write_text(yaml.safe_dump([play], sort_keys=False))
    words = [book, "-i", inventory, "--diff"]
    before = content(inventory)
    filters = {"ANSIBLE_FILTER_PLUGINS": str(ROOT / "playbooks/filter_plugins")}
    for extra in (["--check"], []):
        code, told = forks.ansible("ansible-playbook", *words, *extra, **filters)
        assert code == 0, told
        for part in (
            "-  - feed: oak-county",
            "-        roster-maple:",
            "-district_name: Maple Grove",
        ):
            assert part in told
        assert "$ANSIBLE_VAULT" not in told
        if extra:
            assert content(inventory) == before
            assert "roster-maple would be taken out of the inventory" in told
    after = content(inventory)
    gone = {path.name for path in before.keys() - after.keys()}
    assert gone == {"main.yml", "maple-grove.vault", "oak-county.vault"}
    assert "It is out of the inventory. Commit that" in told


def rekey(*arguments: object) -> tuple[int, str]:
    key = {"ROSTER_VAULT_KEY_EXAMPLE_NEXT": NEW.bytes.decode()}
    add = "example-next@scripts/vault-client"
    words = ["playbooks/rekey_vault.yml", "--vault-id", add, *arguments]
    return forks.ansible("ansible-playbook", *words, **key)


def test_a_new_vault_key(inventory: Path) -> None:
    group = inventory / "group_vars/all/vault.yml"
    group.write_bytes(VaultLib([("example", OLD)]).encrypt("vault_x: 1\n", OLD, "example"))
    before = content(inventory)
    code, told = rekey("-i", inventory, "--check")
    assert code == 0, told
    assert "5 file(s) would be encrypted with the new key" in flat(told)
    assert content(inventory) == before
    code, told = rekey("-i", inventory)
    assert code == 0, told
    assert "5 file(s) were encrypted with the new key" in flat(told)
    assert "vault-client --promote example" in flat(told)
    validate = ["playbooks/site.yml", "-i", inventory, "--tags=validate"]
    assert forks.ansible("ansible-playbook", *validate)[0] != 0
    code, told = forks.ansible(
        "ansible-playbook", *validate, ROSTER_VAULT_KEY_EXAMPLE=NEW.bytes.decode()
    )
    assert code == 0, told
    # As after a killed run: the file that all hosts read has the new key, which this run does not
    # know.
    some = inventory / "host_vars/roster-maple/maple-grove.vault"
    some.write_bytes(before[some])
    code, told = rekey("-i", "localhost,", "-e", f"rekey_inventory={inventory}")
    assert code == 0, told
    assert "1 file(s) were encrypted with the new key of example, 4 had it already" in flat(told)
    for path in (group, some):
        assert VaultLib([("example", NEW)]).decrypt(path.read_bytes())
