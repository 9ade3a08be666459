"""A control node's own systemd watches a fleet with a red district and a silent host."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from support import control_node
from support.lab_hosts import INVENTORY, connect, new_export

CHECKOUT, FOLDER = "/root/the checkout", "/root/my 100% rosters"
NAME, UNIT, SILENT = "watched", "roster-watch-watched", "roster-gone"
HOME = f"{FOLDER}/inventories/{NAME}"
TOKEN = "a-token-of-low-value"
POSTS, PORT = "/run/watch-posts.jsonl", 8799
SERVER = f"""
import http.server

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/{TOKEN}":
            with open("{POSTS}", "a") as kept:
                print(body, file=kept)
        self.send_response(200)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", {PORT}), Handler).serve_forever()
"""


class Node:
    """The control node, which is a district host itself."""

    def __init__(self, name: str) -> None:
        self.name, self.host = name, connect(name)

    def watch(self, *words: str) -> Any:
        """Run scripts/watch as an operator does."""
        python, script = f"{CHECKOUT}/.venv/bin/python", f"{FOLDER}/scripts/watch"
        return self.host.run(f"%s %s {' '.join(words)}", python, script)

    def posts(self) -> list[dict[str, Any]]:
        """Return the alerts, and forget them."""
        text = self.host.check_output(f"touch {POSTS}; cat {POSTS}; rm {POSTS}")
        return [json.loads(line) for line in text.splitlines()]

    def write(self, name: str, values: dict[str, Any]) -> None:
        """Write a file of the inventory."""
        path = f"{HOME}/{name}"
        self.host.check_output(
            'mkdir -p "$(dirname %s)" && echo %s > %s', path, _yaml(values), path
        )

    def seal(self, name: str) -> None:
        """Encrypt a file of the inventory with its key."""
        words = f"encrypt --encrypt-vault-id {NAME} inventories/{NAME}/{name}"
        command = f"cd %s && ANSIBLE_CONFIG=ansible.cfg %s {words}"
        self.host.check_output(command, FOLDER, f"{CHECKOUT}/.venv/bin/ansible-vault")


def _yaml(values: dict[str, Any]) -> str:
    return str(yaml.safe_dump(values))


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """Return a control node with an inventory of itself and of a host that is not there."""
    if not (name := control_node.fitting()):
        pytest.skip("no lab host has the Python of this environment")
    node = Node(name)
    node.host.check_output("mkdir -p %s %s", CHECKOUT, FOLDER)
    try:
        control_node.bring(node.host, node.name, CHECKOUT)
        script = f"{CHECKOUT}/scripts/new-inventory"
        python = f"{CHECKOUT}/.venv/bin/python"
        node.host.check_output("%s %s %s %s", python, script, FOLDER, NAME)
        hosts = {
            node.name: {"ansible_connection": "local"},
            SILENT: {
                "ansible_host": "127.0.0.1", "ansible_port": 1,
                "district_name": "Gone", "district_site_code": "0099999",
                "roster_upload_feed": "gone", "roster_upload_username": "rosters@gone.example",
            },
        }  # fmt: skip
        node.write("hosts.yml", {"all": {"children": {"district_hosts": {"hosts": hosts}}}})
        for part in ("group_vars/district_hosts/main.yml", f"host_vars/{node.name}/main.yml"):
            node.write(part, yaml.safe_load((INVENTORY / part).read_text()))
        sealed = "group_vars/all/alerts.vault"
        node.write(sealed, {"urls": [f"json://127.0.0.1:{PORT}/{TOKEN}"]})
        node.seal(sealed)
        node.host.check_output(
            "systemd-run --quiet --collect --unit=watch-posts python3 -c %s", SERVER
        )
        yield node
    finally:
        node.host.run(f"systemctl stop watch-posts; systemctl disable --now {UNIT}.timer")
        node.host.check_output(
            f"rm -rf %s %s {POSTS} /etc/systemd/system/{UNIT}.*", CHECKOUT, FOLDER
        )
        node.host.check_output("systemctl daemon-reload")


@pytest.fixture(scope="module")
def feed(node: Node, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return a feed of the node whose last delivery was refused."""
    listed = yaml.safe_load((INVENTORY / f"host_vars/{node.name}/main.yml").read_text())
    name = listed.get("roster_upload_feed") or listed["roster_upload_feeds"][0]["feed"]
    feed = tomllib.loads(node.host.file(f"/etc/roster-upload/{name}.toml").content_string)
    feed["host"] = node.name
    new_export(feed, tmp_path_factory.mktemp("export"), "--defect=ragged")
    assert node.host.run("systemctl start roster-upload@%s", name).failed
    return feed


def test_systemd_runs_the_watch_and_one_message_names_all(node: Node, feed: dict[str, Any]) -> None:
    done = node.watch("install")
    journal = node.host.check_output(f"journalctl --no-pager -u {UNIT}")
    assert done.rc == 0, done.stdout + done.stderr + journal
    assert "the first run worked" in done.stdout
    [post] = node.posts()
    assert [entry["host"] for entry in post["silent"]] == [SILENT]
    assert feed["feed"] in [entry["feed"] for entry in post["red"]]
    assert f"{SILENT} is silent: unreachable: " in post["message"]
    assert "orgs.csv, row 3" in post["message"]
    assert "Next step: " in post["message"]
    assert f"The page: {FOLDER}/build/{NAME}/status.html" in post["message"]
    page = node.host.file(f"{FOLDER}/build/{NAME}/status.html")
    assert (page.mode, feed["feed"] in page.content_string) == (0o600, True)
    assert node.host.run(f"systemd-analyze verify {UNIT}.service {UNIT}.timer").rc == 0
    timer = node.host.check_output(f"systemctl show {UNIT}.timer")
    assert "UnitFileState=enabled" in timer
    assert "OnCalendar=*-*-* 09..12:15:00 UTC" in timer


def test_the_same_night_is_told_once(node: Node, feed: dict[str, Any]) -> None:
    node.host.check_output(f"systemctl start {UNIT}")  # it is not due again
    journal = node.host.check_output(f"journalctl --no-pager -u {UNIT}")
    assert "has run since 09:15 UTC. Nothing is to do" in journal
    assert node.watch("run").rc == 0
    assert node.posts() == []


def test_a_watch_that_fails_says_so_and_fails_its_unit(node: Node) -> None:
    node.write("host_vars/roster-gone/main.yml", {"roster_upload_wrong": 1})
    node.host.check_output("rm %s", f"{FOLDER}/build/{NAME}/watch.json")
    try:
        assert node.host.run(f"systemctl start {UNIT}").failed
    finally:
        node.host.check_output("rm %s", f"{HOME}/host_vars/roster-gone/main.yml")
    assert node.host.run(f"systemctl is-failed {UNIT}").rc == 0
    [post] = node.posts()
    assert post["title"] == f"{NAME}: the watch failed"
    assert "status.yml ended with code 2" in post["message"]


def test_no_secret_is_left_and_removing_it_is_one_command(node: Node) -> None:
    journal = node.host.check_output(f"journalctl --no-pager -u {UNIT}")
    assert TOKEN not in journal
    found = node.host.run(f"grep -rl {TOKEN} %s /etc/systemd /var/tmp /tmp", FOLDER)
    assert found.stdout == ""
    assert node.watch("remove").rc == 0
    assert node.host.run(f"systemctl cat {UNIT}.timer").failed
    assert node.watch("remove").rc == 0
