"""A newcomer types the README's commands, from a fresh clone to a roster at the vendor."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from roster_fleet import vault
from support import lab_fleet, readme
from support import lab_vendor as vendor
from support.lab_hosts import INVENTORY, ROOT, connect, sha256
from support.newcomer import Newcomer, Typed

HOST, FEED, DISTRICT = "lab-trixie", "alder-valley", "Alder Valley"
USER, SITE_CODE = "rosters@alder-valley.example", "1234567"
REMOTE = f"/srv/sftp/{USER}/imagine/{SITE_CODE}-{DISTRICT}/product/OneRoster.zip"
EXPORT = "/srv/roster-upload/FEED/OneRoster.zip"  # as the README says it
STEPS = readme.steps(readme.README.read_text())
GROUP = "inventories/mydistrict/group_vars/district_hosts/main.yml"
COPY_WITHOUT = shutil.ignore_patterns(".git", ".venv", ".lab", "build", "__pycache__", ".*_cache")


def step(word: str) -> readme.Step:
    """Return the one step whose headline has this word."""
    [found] = [each for each in STEPS if word in each.title]
    return found


def lab(name: str) -> str:
    """Return a container's address."""
    config = (ROOT / ".lab" / "ssh_config").read_text()
    found = re.search(rf"Host {name}\n\s+HostName (\S+)", config)
    assert found
    return found[1]


def password() -> str:
    """Return the district's password at the lab's vendor."""
    path = vault.path_of(INVENTORY / "host_vars" / HOST, FEED)
    return str(vault.parse(lab_fleet.keys().read(path)[1], path)["secret"])


def published(folder: Path) -> Path:
    """Return a repository with this checkout's state in one commit."""
    shutil.copytree(ROOT, folder, ignore=COPY_WITHOUT, symlinks=True)
    identity = ["-c", "user.name=Maintainer", "-c", "user.email=maintainer@example.org"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "Release"]):
        subprocess.run(["git", "-C", str(folder), *identity, *words], check=True)
    return folder


class Way:
    """The newcomer, and their folders."""

    def __init__(self, home: Path) -> None:
        self.person = Newcomer(home, ROOT / ".lab" / "ssh_config")
        self.checkout = home / "roster-delivery"
        self.folder = home / "rosters"
        self.values = {"REPOSITORY": "~/published"}
        published(home / "published")

    def follow(self, word: str, answers: dict[str, str] | None = None) -> list[Typed]:
        """Type all commands of a step. Fail the test if one fails."""
        done = []
        for line in step(word).commands:
            typed = self.person.types(readme.placed(line, self.values), answers)
            assert typed.code == 0, f"{line}\n{typed.shown}"
            done.append(typed)
            if line.startswith("git clone"):  # nothing is downloaded in a test
                (self.checkout / ".venv").symlink_to(Path(sys.executable).parents[1])
        return done

    def sets(self, before: str, now: str) -> None:
        """Change a line of the group's file, as an editor does."""
        path = self.folder / GROUP
        text = path.read_text()
        assert text.count(before) == 1, text
        path.write_text(text.replace(before, now))


@pytest.fixture(scope="module")
def way() -> Iterator[Way]:
    """Return a newcomer whose home has a blank in its name, with a host as the README wants it."""
    connect(HOST).check_output("usermod --append --groups sudo deploy")
    # Not pytest's own folder: the path of a socket of SSH is short.
    with tempfile.TemporaryDirectory(prefix="new comer ", ignore_cleanup_errors=True) as home:
        yield Way(Path(home))


def test_the_control_node_is_set_up(way: Way) -> None:
    typed = way.person.types("ansible-playbook --version")
    assert typed.code == 127  # nothing of the tests' own environment helps
    way.follow("control node")
    assert way.person.types("ansible-playbook --version").code == 0


def test_a_folder_is_laid_out(way: Way) -> None:
    way.follow("folder of your own")
    named = re.findall(r"`(inventories/\S+|\w*_\w+)`", step("folder of your own").text)
    assert named == [GROUP, "ansible_user", "district_hardening_inbound_networks"]
    way.sets("# ansible_user: admin", "ansible_user: deploy")
    way.sets(
        "# district_hardening_inbound_networks:\n#   - 192.0.2.0/24",
        "district_hardening_inbound_networks:\n  - 10.0.0.0/8",
    )
    way.sets(
        "# roster_upload_remote_host: sftp.imaginelearning.com",
        f"roster_upload_remote_host: {lab('lab-sftp')}\n"
        "roster_upload_quiet_seconds: 1",  # exports are written in one go here
    )


def test_the_district_is_added(way: Way) -> None:
    key = (ROOT / ".lab" / "host_keys" / "lab-sftp.pub").read_text()
    shown = subprocess.run(
        ["ssh-keygen", "-lf", "-"], input=key, capture_output=True, text=True, check=True
    )
    answers = {
        r"\bhost:": HOST,
        r"\bdistrict:": DISTRICT,
        r"\bsite_code:": SITE_CODE,
        r"\bexport:": "path",
        r"\busername:": USER,
        r"\bpassword:": password(),
        "(?i)fingerprint": shown.stdout.split()[1],
        r"\byes\b": "yes",
    }
    [typed] = way.follow("Add your district", answers)
    assert password() not in typed.shown
    assert (way.folder / f"inventories/mydistrict/host_vars/{HOST}/{FEED}.vault").exists(), (
        typed.shown
    )


def test_the_host_is_checked_and_made(way: Way) -> None:
    _, preview, run = way.follow("Check, preview, run")
    assert "planned changes (check mode)" in preview.shown
    assert re.search(rf"{HOST} .*failed=0", run.shown)


def test_the_roster_is_delivered(way: Way) -> None:
    assert EXPORT in step("SIS").text
    host, source = connect(HOST), EXPORT.replace("FEED", FEED)
    host.check_output("cp /srv/sis-inbox/sis-lab/incoming/OneRoster.zip %s", source)
    way.follow("Verify, deliver")
    assert sha256(vendor.host(), REMOTE) == sha256(host, source)
    page = (way.folder / "build" / "mydistrict" / "status.html").read_text()
    assert DISTRICT in page


def test_nothing_secret_is_committed_and_the_checkout_is_untouched(way: Way) -> None:
    way.follow("in git")
    for folder in (way.checkout, way.folder):
        typed = way.person.types(f"git -C '{folder}' status --porcelain")
        assert typed == (0, "")
    key = (way.folder / "inventories/mydistrict/vault-key.txt").read_bytes().strip()
    listed = way.person.types("git ls-files -z").shown.split("\0")
    kept = {name: way.folder / name for name in listed if name}
    assert f"inventories/mydistrict/host_vars/{HOST}/{FEED}.vault" in kept
    assert not [name for name in kept if name.startswith(("build/", "roster-delivery"))]
    for path in kept.values():
        content = path.read_bytes() if path.is_file() else b""
        assert key not in content, path
        assert password().encode() not in content, path


# ---- the README, typed wrongly -------------------------------------------------------------


def test_the_same_inventory_again_changes_nothing(way: Way) -> None:
    files = {path: path.read_bytes() for path in way.folder.rglob("*.yml")}
    typed = way.person.types("scripts/new-inventory ~/rosters mydistrict")
    assert typed.code == 0
    assert "nothing to do" in typed.shown
    assert files == {path: path.read_bytes() for path in way.folder.rglob("*.yml")}


def test_a_terminal_without_the_environment_and_a_wrong_folder(way: Way) -> None:
    [line] = step("Add your district").commands
    other = way.person.types(f"cd / && {line}")
    assert other.code != 0
    assert "could not be found" in other.shown
    path = "PATH=$(echo $PATH | sed 's,[^:]*/.venv/bin:,,')"
    typed = way.person.types(f"cd ~/rosters && {path} {line}")
    assert typed.code == 127
    assert "ansible-playbook: command not found" in typed.shown


def test_a_run_without_the_vault_key_says_where_it_belongs(way: Way) -> None:
    key = way.folder / "inventories/mydistrict/vault-key.txt"
    aside = key.rename(key.with_name("elsewhere"))
    try:
        typed = way.person.types(
            "cd ~/rosters && ansible-playbook playbooks/site.yml --tags validate"
        )
    finally:
        aside.rename(key)
    assert typed.code != 0
    assert "mydistrict" in typed.shown
    assert "vault-client" in typed.shown
