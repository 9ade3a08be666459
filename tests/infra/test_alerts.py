"""Alerts of a real host to Slack, Teams and an own server, over HTTPS and through its firewall."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.alert_servers import certified
from support.lab_hosts import (
    INVENTORY,
    Host,
    ansible,
    connect,
    new_export,
    receipts,
    site,
    wait_for,
)

HOST, FEED = "lab-trixie", "alder-valley"
SLACK, TEAMS, OWN = "hooks.slack.com", "prod-1.westeurope.logic.azure.com", "alerts.lab.test"
SLACK_TOKEN = "TIiajkdnlazkcOXrIdevi7FQ"
TEAMS_TOKEN = "KODuebWbDGYFr0z0eu-6Rj8aUKz7108W3wrNJZxFE5A"
OWN_TOKEN = "of-low-value"
SEALED = [
    f"https://{SLACK}/services/T1JJ3T3L2/A1BRTD4JD/{SLACK_TOKEN}",
    f"https://{TEAMS}:443/workflows/643e69f83c8944438d68119179a10a64/triggers/manual/paths/invoke"
    f"?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={TEAMS_TOKEN}",
]
UNSEALED = [f"jsons://{OWN}/{OWN_TOKEN}"]
FILES = (INVENTORY / f"host_vars/{HOST}/alerts.vault", INVENTORY / f"host_vars/{HOST}/alerts.yml")
# What alerts need of the host. All else stays as it is.
PARTS = ("--limit", HOST, "--tags", "roster_upload,roster_credentials,firewall")
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
POSTS = "/run/lab-alerts.jsonl"
SERVER = f"""
import http.server, json, pathlib, ssl, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        host = self.headers["Host"].partition(":")[0]
        with open("{POSTS}", "a") as kept:
            print(json.dumps({{"host": host, "path": self.path, "body": body}}), file=kept)
        answer = b"ok" if host == "{SLACK}" else b""
        self.send_response(200 if answer else 202)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/run/lab-alerts.pem")
server = http.server.ThreadingHTTPServer(("", 443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


class Receiver:
    """The server that stands in for Slack, Teams and the district's own."""

    def __init__(self, server: Host) -> None:
        self.server = server

    def posts(self) -> dict[str, Any]:
        """Return the body for each service, and forget them. Each has got one post at most."""
        lines = self.server.check_output(f"touch {POSTS}; cat {POSTS}; rm {POSTS}").splitlines()
        posts = [json.loads(line) for line in lines]
        found = {post["host"]: json.loads(post["body"]) for post in posts}
        assert len(found) == len(posts), posts
        return found


@pytest.fixture
def one() -> Host:
    """Return the host whose administrators want alerts."""
    return connect(HOST)


@pytest.fixture
def receiver(one: Host, vendor: Host, tmp_path: Path) -> Iterator[Receiver]:
    """Run the receiver on the vendor's machine, and let the host trust it, until the test ends."""
    certified(tmp_path, SLACK, TEAMS, OWN)
    pem = (tmp_path / "server.pem").read_text()
    address = vendor.check_output("hostname -I").split()[0]
    vendor.check_output("install -m 0600 /dev/null /run/lab-alerts.pem")
    vendor.check_output("echo %s > /run/lab-alerts.pem", pem)
    vendor.check_output("systemd-run --quiet --collect --unit=lab-alerts python3 -c %s", SERVER)
    one.check_output("cp -p /etc/hosts /root/hosts")
    one.check_output("echo %s %s %s %s >> /etc/hosts", address, SLACK, TEAMS, OWN)
    one.check_output(f"cp -p {AUTHORITIES} /root/authorities")
    one.check_output(f"echo %s >> {AUTHORITIES}", pem[pem.index("-----BEGIN CERT") :])
    try:
        yield Receiver(vendor)
    finally:
        one.check_output("cat /root/hosts > /etc/hosts; rm /root/hosts")
        one.check_output(f"cat /root/authorities > {AUTHORITIES}; rm /root/authorities")
        vendor.check_output(f"systemctl stop lab-alerts; rm -f {POSTS} /run/lab-alerts.pem")


@pytest.fixture
def urls(one: Host) -> Iterator[None]:
    """Write the URLs to the inventory, the secret ones encrypted, until the test ends."""
    sealed, unsealed = FILES
    sealed.write_text(json.dumps({"urls": SEALED}))
    done = ansible("ansible-vault", "encrypt", "--encrypt-vault-id", "lab", str(sealed))
    assert done.returncode == 0, done.stderr
    unsealed.write_text(json.dumps({"roster_upload_alert_urls": UNSEALED}))
    before = state(one)
    try:
        yield
    finally:
        for path in FILES:
            path.unlink()
        site(*PARTS)
    assert state(one) == before


def state(host: Host) -> str:
    """Return what alerts change on a host."""
    return str(
        host.check_output(
            "sha256sum /etc/roster-upload/* /etc/district-firewall.json; "
            "find /etc/credstore.encrypted /etc/systemd/system -name '*roster*' | sort"
        )
    )


def texts_of(posts: dict[str, Any]) -> dict[str, str]:
    """Return the texts that people read, by the service."""
    [slack], [teams] = posts[SLACK]["attachments"], posts[TEAMS]["attachments"]
    assert teams["contentType"] == "application/vnd.microsoft.card.adaptive"
    return {
        SLACK: f"{slack['title']}\n{slack['text']}",
        TEAMS: "\n".join(block.get("text", "") for block in teams["content"]["body"]),
        OWN: f"{posts[OWN]['title']}\n{posts[OWN]['message']}",
    }


@pytest.mark.usefixtures("urls")
def test_a_failed_delivery_reaches_slack_teams_and_an_own_server_once(
    one: Host, receiver: Receiver, tmp_path: Path
) -> None:
    feed = tomllib.loads(one.file(f"/etc/roster-upload/{FEED}.toml").content_string)
    feed["host"] = HOST
    # Any failure of this night has an end, so the next one is news.
    new_export(feed, tmp_path)
    one.check_output("systemctl start roster-upload@%s", FEED)
    since = one.check_output("date '+%Y-%m-%d %H:%M:%S'")
    output = site(*PARTS)
    # Nobody has named these servers to the firewall.
    assert "443" in one.check_output("nft -j list set inet district_host program4")

    done = ansible(
        *("ansible-playbook", "playbooks/verify.yml", "-i", "inventories/lab"),
        *("--limit", HOST, "-e", "notify=true"),
    )
    output += done.stdout + done.stderr
    assert done.returncode == 0, output
    told = " ".join(done.stdout.rpartition("verify: results")[2].split())
    for name in ("jsons", SLACK, TEAMS):
        assert f"{name}: accepted (" in told, told
    for text in texts_of(receiver.posts()).values():
        assert "Alder Valley: test of the alerts" in text

    new_export(feed, tmp_path, "--defect=ragged")
    assert one.run("systemctl start roster-upload@%s", FEED).failed
    assert receipts(feed)[-1]["outcome"] == "refused"
    # The alarm finds that the run has reported its failure itself.
    wait_for("the alarm", lambda: one.run("systemctl is-active 'roster-alarm@*'").failed, 60)
    for text in texts_of(receiver.posts()).values():
        assert "Alder Valley: tonight's roster was not delivered" in text
        assert "orgs.csv, row 3" in text
        assert "Who must act: " in text
        assert f"Feed: {FEED} on {HOST}" in text

    journal = one.check_output("journalctl --no-pager --since %s", since)
    kept = one.check_output("cat /var/lib/roster-upload/%s/receipts.jsonl", FEED)
    for token in (SLACK_TOKEN, TEAMS_TOKEN, OWN_TOKEN):
        assert token not in journal + kept + output
    # Sudo logs this command itself, so it comes after the journal.
    found = "grep -rl --exclude-dir=log -e %s -e %s /etc /run /var/lib"
    assert one.run(found, SLACK_TOKEN, TEAMS_TOKEN).stdout == ""
    assert "changed=0 " in site(*PARTS)
