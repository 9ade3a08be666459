"""A new district from its line in a CSV to its last receipt, on a host of its own."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from scenarios.conftest import DISTRICT_ONLY, Play, ansible, plain, row
from support import lab_fleet
from support import lab_vendor as vendor
from support.lab_hosts import INVENTORY, ROOT, connect, sha256

LAB = str(ROOT / "scripts" / "lab")
HOST, FEED, USER = "lab-09", "st-mary-s-pena", "rosters@stmary.example"
DISTRICT, SITE_CODE = "St. Mary's Peña", "0012345"
PASSWORD = "{{ quite }} 'a' \"word\" 100% "
REMOTE = f"/srv/sftp/{USER}/imagine/{SITE_CODE}-{DISTRICT}/literacy/OneRoster.zip"


def vendor_address() -> str:
    """Return where the control node, too, reaches the vendor."""
    config = (ROOT / ".lab" / "ssh_config").read_text()
    found = re.search(r"Host lab-sftp\n\s+HostName (\S+)", config)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def inventory() -> Iterator[Path]:
    """Return an inventory without a district, and a new machine."""
    folder = ROOT / "build" / "lifecycle"
    shutil.rmtree(folder, ignore_errors=True)
    # An earlier run's host had other receipts.
    shutil.rmtree(lab_fleet.outputs_of(folder).receipts, ignore_errors=True)
    shutil.copytree(INVENTORY, folder, ignore=shutil.ignore_patterns("host_vars"))
    hosts = yaml.safe_load((folder / "hosts.yml").read_text())
    hosts["all"]["children"]["district_hosts"]["hosts"] = None
    (folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
    defaults = folder / "group_vars" / "district_hosts" / "main.yml"
    values = yaml.safe_load(defaults.read_text())
    del values["roster_upload_host_keys"], values["sis_inbox_accounts"]
    values["roster_upload_remote_host"] = vendor_address()
    values["roster_credentials_vault_id"] = lab_fleet.VAULT_ID
    defaults.write_text(yaml.safe_dump(values))
    subprocess.run([LAB, "add", HOST], check=True)
    try:
        yield folder
    finally:
        subprocess.run([LAB, "remove", HOST], check=True)


def test_a_district_is_brought_in(inventory: Path, play: Play, tmp_path: Path) -> None:
    columns = ["host", "district", "site_code", "product", "region", "feed", "username", "password"]
    cells = [HOST, DISTRICT, SITE_CODE, "literacy", "north", FEED, USER, PASSWORD]
    quoted = ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)
    table = tmp_path / "new.csv"
    table.write_bytes(lab_fleet.keys().encrypt(f"{','.join(columns)}\n{quoted}\n", "lab"))
    key = (ROOT / ".lab" / "host_keys" / "lab-sftp.pub").read_text()
    shown = subprocess.run(
        ["ssh-keygen", "-lf", "-"], input=key, capture_output=True, text=True, check=True
    )
    fingerprint = shown.stdout.split()[1]
    words = ["-e", f"onboard_csv={table}", "-e", f"onboard_fingerprint={fingerprint}"]
    for check, did in ((["--check", "--diff"], "would be added"), ([], "added"), ([], "unchanged")):
        done = play("onboard", inventory, *words, *check)
        assert done.returncode == 0, done.stdout + done.stderr
        assert did in row(done.stdout, DISTRICT, FEED, HOST)
        assert PASSWORD.strip() not in done.stdout + done.stderr
    lines = (inventory / "host_vars" / HOST / "main.yml").read_text().splitlines()
    assert len(lines) < 10
    assert key.split()[1] in (inventory / "group_vars/district_hosts/main.yml").read_text()
    listed = ansible("ansible-inventory", "-i", inventory, "--list")
    assert json.loads(listed.stdout)["_meta"]["hostvars"][HOST]["district_site_code"] == SITE_CODE
    assert PASSWORD.strip() not in listed.stdout


def shown_paths(told: str) -> set[str]:
    """Return the paths that a run with --diff has changed, or would change."""
    return set(re.findall(r"^\+\+\+ after: (\S+)$", plain(told), re.MULTILINE))


def test_a_check_of_a_fresh_host_says_what_the_run_then_does(inventory: Path, play: Play) -> None:
    assert play("../molecule/default/prepare", inventory).returncode == 0
    checked = play("site", inventory, "--check", "--diff")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    host = connect(HOST)
    assert host.run("test -e /etc/district-firewall.json").rc != 0
    assert host.run("getent group roster-upload").rc != 0
    done = play("site", inventory, "--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"/etc/nftables.conf", f"/etc/roster-upload/{FEED}.toml"} <= shown_paths(done.stdout)
    assert shown_paths(checked.stdout) == shown_paths(done.stdout)


def test_its_host_delivers(inventory: Path, play: Play) -> None:
    for playbook in ("verify", "send", "status"):
        done = play(playbook, inventory)
        assert done.returncode == 0, done.stdout + done.stderr
    source = f"/srv/roster-upload/{FEED}/OneRoster.zip"
    assert sha256(vendor.host(), REMOTE) == sha256(connect(HOST), source)


REWRITE = """
import hashlib, json, pathlib, sys
path, previous, found = pathlib.Path(sys.argv[1]), "", []
for line in path.read_text().splitlines():
    values = json.loads(line)
    values["previous"] = previous
    if values["outcome"] == "sent":
        values["message"] = "nothing to see here"
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    previous = hashlib.sha256(text.encode()).hexdigest()
    found.append(text + "\\n")
path.write_text("".join(found))
"""


def test_a_history_that_is_rewritten_shows_on_both_sides(inventory: Path, play: Play) -> None:
    """Root chains the receipts anew, without the key that only the feed's unit has."""
    host, path = connect(HOST), f"/var/lib/roster-upload/{FEED}/receipts.jsonl"
    head = lab_fleet.outputs_of(inventory).receipts / HOST / f"{FEED}.head.json"
    seen = json.loads(head.read_text())
    assert seen["lines"] == len(host.check_output("cat %s", path).splitlines())
    host.check_output("python3 -c %s %s", REWRITE, path)
    assert "LEDGER" not in host.check_output("roster-upload status %s", FEED), "the chain is whole"
    done = play("status", inventory, "-e", "roster_status_fail=true")
    assert done.returncode != 0
    assert f"history was rewritten: receipt line {seen['lines']}, seen" in done.stdout
    assert "history was rewritten" in lab_fleet.outputs_of(inventory).page.read_text()
    assert json.loads(head.read_text()) == seen

    assert "its key does not fit" in host.run("roster-upload rehearse %s", FEED).stdout
    assert "its key does not fit" in host.check_output("roster-upload status %s", FEED)
    words = ["-e", f"roster_status_accept={HOST}/{FEED}", "-e", "roster_status_fail=true"]
    done = play("status", inventory, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "This was accepted" in done.stdout
    assert json.loads(head.read_text())["lines"] > seen["lines"]


def test_one_of_its_feeds_is_taken_off(inventory: Path, play: Play, tmp_path: Path) -> None:
    """The other feed's export is in the same folder. It stays, and its deliveries go on."""
    second, folder = "st-mary-s-math", f"/srv/roster-upload/{FEED}"
    home = inventory / "host_vars" / HOST
    more = {
        "feed": second,
        "remote_dir": f"imagine/{SITE_CODE}-{DISTRICT}/math",
        "source": f"{folder}/math.zip",
    }
    listed = home / "feeds.yml"
    listed.write_text(yaml.safe_dump({"roster_upload_feeds": [{}, more]}))
    vault = home / f"{second}.vault"
    lab_fleet.keys().write(vault, {"secret": PASSWORD, "since": "2026-11-01"}, lab_fleet.VAULT_ID)
    vendor.add_account(USER, more["remote_dir"])
    done = play("site", inventory, *DISTRICT_ONLY)
    assert done.returncode == 0, done.stdout + done.stderr
    host = connect(HOST)
    host.check_output("cp %s/OneRoster.zip %s/math.zip", folder, folder)
    assert host.run("roster-upload verify").rc == 0
    words = [
        "-e",
        f"roster_feed={second}",
        "-e",
        json.dumps({"decommission_folder": str(tmp_path)}),
    ]
    done = play("decommission", inventory, *words, "-e", f"decommission_confirm={second}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it had no receipts" in row(done.stdout, second, "removed")
    assert yaml.safe_load(listed.read_text()) == {"roster_upload_feeds": [{}]}
    listed.unlink()
    assert not vault.exists()
    folders = "/etc /var/lib /srv -ignore_readdir_race"
    left = host.check_output(f"find {folders} \\( -name '*st-mary-s*' -o -name '*.zip' \\)").split()
    assert f"{folder}/OneRoster.zip" in left
    assert not [path for path in left if second in path or "math" in path], left
    assert host.run("roster-upload verify").rc == 0
    assert "changed=0" in play("site", inventory).stdout


def test_it_is_taken_off(inventory: Path, play: Play, tmp_path: Path) -> None:
    there = sha256(vendor.host(), REMOTE)
    words = ["-e", json.dumps({"decommission_folder": str(tmp_path)}), "--limit", HOST]
    done = play("decommission", inventory, *words)
    assert done.returncode != 0
    assert f"type or give -e decommission_confirm={HOST}" in done.stdout
    done = play("decommission", inventory, *words, "--check")
    assert done.returncode == 0, done.stdout
    assert "would be removed" in row(done.stdout, FEED)
    assert connect(HOST).run("roster-upload verify").rc == 0
    assert connect(HOST).run("roster-upload rehearse %s", FEED).rc == 0
    ledger = connect(HOST).file(f"/var/lib/roster-upload/{FEED}/receipts.jsonl").content

    # Deeper than the module `file` can follow.
    nest = "import os\nfor _ in range(1100):\n    os.mkdir('d')\n    os.chdir('d')"
    connect(HOST).check_output("cd /srv/roster-upload/%s && python3 -c %s", FEED, nest)

    done = play("decommission", inventory, *words, "-e", f"decommission_confirm={HOST}")
    assert done.returncode == 0, done.stdout
    assert f"{HOST} is out of the inventory" in row(done.stdout, FEED, "removed")
    assert re.search(rf"{HOST} .*changed=[1-9]", done.stdout), done.stdout
    [file] = (tmp_path / HOST).iterdir()
    assert file.name.startswith(f"{FEED}-20")
    kept = file.read_bytes()
    assert kept == ledger
    *_, before, last = kept.splitlines()
    assert json.loads(last)["previous"] == hashlib.sha256(before).hexdigest()
    host = connect(HOST)
    names = ("hostname", f"*{FEED}*", "roster-*@*")
    find = r"find / -xdev \( -path /proc -o -path /sys \) -prune -o \( %s \) -print"
    found = host.run(find % " -o ".join(f"-name '{name}'" for name in names)).stdout.splitlines()
    assert "/etc/hostname" in found
    assert {Path(path).name for path in found} == {"hostname"}
    assert not host.file("/usr/local/bin/roster-upload").exists
    assert not host.file("/etc/cron.d/roster-upload").exists
    assert host.check_output("find /etc/roster-upload /var/lib/roster-upload -type f") == ""
    assert host.check_output("systemctl --failed --no-legend") == ""
    assert not (inventory / "host_vars" / HOST).exists()
    assert HOST not in (inventory / "hosts.yml").read_text()
    # It is still a hardened host, and the vendor has the last roster.
    assert host.check_output("nft list ruleset | grep -c skgid") != "0"
    assert sha256(vendor.host(), REMOTE) == there
