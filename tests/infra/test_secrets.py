"""No secret is found unencrypted: on disk, in processes, in the journal, in Ansible's output."""

from __future__ import annotations

import base64
import json
import shutil
from typing import Any
from urllib.parse import quote

from ansible.parsing.vault import VaultSecret
from roster_fleet import vault
from support.lab_hosts import (
    DISTRICT_HOSTS,
    INVENTORY,
    ROOT,
    Host,
    ansible,
    connect,
    receipts,
    site,
)

# Runs on the host as root. The secrets come on standard input, so the search itself leaves no
# trace. A run of the unit is started meanwhile, so that its processes are searched, too.
SEARCH = r"""
import glob, json, os, subprocess, sys
job = json.load(sys.stdin)
needles = [n.encode("utf-8") for n in job["needles"]]
found, looked = set(), {"files": 0, "processes": set(), "journal": 0}

def look(path, data):
    found.update(path for n in needles if n in data)

def processes():
    for folder in glob.glob("/proc/[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                with open(f"{folder}/{name}", "rb") as f:
                    data = f.read()
            except OSError:
                continue
            look(f"{folder}/{name}", data)
            if name == "cmdline" and b"roster-upload" in data:
                looked["processes"].add(data.replace(b"\0", b" ").decode())

processes()
starts = [subprocess.Popen(["systemctl", "start", unit]) for unit in job["units"]]
while any(start.poll() is None for start in starts):
    processes()
for top in ("/etc", "/var", "/root", "/home", "/tmp", "/run", "/srv", "/usr/local"):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                try:
                    with open(path, "rb") as f:
                        data = f.read()
                except OSError:
                    continue
                looked["files"] += 1
                look(path, data)
read = ["journalctl", "--no-pager", "-a", "-o", "export"]
journal = subprocess.run(read, capture_output=True).stdout
looked["journal"] = len(journal)
look("the journal", journal)
looked["processes"] = sorted(looked["processes"])
print(json.dumps({"found": sorted(found), "looked": looked}))
"""


def spellings(secret: str) -> set[str]:
    """Return the ways in which a secret may appear: as it is, escaped, quoted, encoded."""
    return {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        quote(secret),
        base64.b64encode(secret.encode()).decode().rstrip("="),
    }


def search(host: Host, needles: list[str], units: list[str]) -> dict[str, Any]:
    job = json.dumps({"needles": needles, "units": units}).encode()
    done = host.backend.run_with(job, "python3 -c %s", SEARCH)
    assert done.succeeded, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_no_secret_is_on_a_host(
    host: Host, secrets: list[str], feeds: list[dict[str, Any]]
) -> None:
    mine = [f["feed"] for f in feeds if f["host"] == host.backend.get_hostname()]
    needles = sorted({s for secret in secrets for s in spellings(secret)})
    result = search(host, needles, [f"roster-upload@{feed}.service" for feed in mine])
    assert result["found"] == []
    # The search did look at the important places: the running program, many files, a journal.
    assert any("send" in line for line in result["looked"]["processes"])
    assert result["looked"]["files"] > 500
    assert result["looked"]["journal"] > 10_000


def test_the_search_finds_what_is_there(host: Host) -> None:
    planted = "a planted word, not a secret"
    host.check_output("printf %%s %s > /var/lib/planted", planted)
    try:
        assert "/var/lib/planted" in search(host, [planted], [])["found"]
    finally:
        host.check_output("rm /var/lib/planted")


def test_ansible_shows_no_secret(secrets: list[str]) -> None:
    # All are written again. The host's own key stays, since the guard's memory needs it.
    for name in DISTRICT_HOSTS:
        remove = "find /etc/roster-upload/credentials -name current -delete"
        connect(name).check_output(remove)
    for how in (("--check", "--diff", "-vvv", "--limit", "lab-bookworm"), ("-vvv", "--diff")):
        told = site(*how)
        assert "systemd_credentials" in told
        for secret in secrets:
            assert not [s for s in spellings(secret) if s in told]


def test_a_host_that_is_made_anew_knows_the_age_of_its_password() -> None:
    """A file's time is the day from the vault, not the day on which the file was written."""
    folder = ROOT / "build" / "made-anew"  # as deep as the lab's own, which reads .lab beside it
    shutil.copytree(INVENTORY, folder, dirs_exist_ok=True)
    path = folder / "host_vars" / "lab-trixie" / "alder-valley.vault"
    key = (folder / "vault-key.txt").read_text().rstrip("\n").encode()
    keys = vault.Vault([("lab", VaultSecret(key))])
    keys.write(path, {**vault.parse(keys.read(path)[1], path), "since": "2026-02-03"}, "lab")
    host = connect("lab-trixie")
    slot = "/etc/roster-upload/credentials/alder-valley/current"
    host.check_output("rm %s", slot)
    words = ["playbooks/site.yml", "-i", str(folder), "--limit", "lab-trixie"]
    words += ["--tags", "roster_credentials"]
    done = ansible("ansible-playbook", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert host.check_output("date -u -r %s +%%F", slot) == "2026-02-03"
    assert "changed=0" in site("--limit", "lab-trixie")


def test_the_secrets_arrive_unchanged(feeds: list[dict[str, Any]], secrets: list[str]) -> None:
    """Every feed logged in. The passwords have characters that break careless tools."""
    for feed in feeds:
        if not any(r["outcome"] == "sent" for r in receipts(feed)):
            connect(feed["host"]).check_output("systemctl start roster-upload@%s", feed["feed"])
        assert any(r["outcome"] == "sent" for r in receipts(feed))
    every = "".join(secrets)
    for awkward in ("{{", "}}", "'", '"', "%", "\\", " ", "ß"):
        assert awkward in every
    assert any(secret != secret.strip() for secret in secrets)
