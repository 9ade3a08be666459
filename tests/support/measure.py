"""Measure the lab's district hosts with tools of others."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from support import trees
from support.lab_hosts import ROOT, Host, connect

WANTED = tomllib.loads(Path(__file__).with_name("measured.toml").read_text())
FOLDER = "/root/measure"


def install(host: Host, *packages: str) -> None:
    """Install a tool on a host, from package lists that are not too old for that."""
    command = "DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "
    command += " ".join(packages)
    again = f"{command} || {{ apt-get update && {command}; }}"
    host.check_output("flock /run/measure.lock sh -c %s", again)


# Lynis asks dpkg about each of Debian's certificates, only to skip those of packages. The night of
# updates has just read the package lists. The skipped tests find nothing: they list programs,
# packages, addresses and PHP's files. But for KRNL-6000: a container's kernel is the machine's.
# Each of 5,000 lines of a log that nobody reads would start date(1).
LYNIS = """
sed -i 's/LOGTEXT=1/LOGTEXT=0/' /usr/share/lynis/include/consts
{
  sed -n 's,:/usr/share/ca-certificates,,; /^ssl-certificate-paths=/p' /etc/lynis/default.prf
  echo refresh-repositories=no
  for test in DEB-0001 KRNL-6000 NETW-2600 PHP-2211 PKGS-7345; do echo "skip-test=$test"; done
} > /etc/lynis/custom.prf
"""


def lynis(host: Host) -> dict[str, Any]:
    """Return Lynis' findings: {index: 0 to 100, suggestions: {test id: [texts]}}."""
    install(host, "lynis")
    host.check_output(LYNIS)
    host.run("cd / && lynis audit system --quick --no-colors >/dev/null 2>&1")  # 78: it warns
    report = host.check_output("cat /var/log/lynis-report.dat")
    found: dict[str, list[str]] = {}
    for test, text, detail in re.findall(
        r"^(?:suggestion|warning)\[\]=([^|]+)\|([^|]*)\|([^|]*)", report, re.MULTILINE
    ):
        found.setdefault(test, []).append(f"{text} {detail}".strip(" -"))
    index = re.search(r"^hardening_index=(\d+)", report, re.MULTILINE)
    assert index, report[-500:]
    return {"index": int(index[1]), "suggestions": found}


def exposure(host: Host, unit: str) -> float:
    """Return a unit's exposure from 0 to 10, as systemd-analyze computes it."""
    told = host.run("systemd-analyze security --no-pager %s", unit).stdout
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert level, told
    return float(level[1])


def ssh_audit(host: Host) -> dict[str, list[str]]:
    """Return ssh-audit's warnings and failures, from outside: {level: [algorithm: text]}."""
    address = host.check_output("hostname -I").split()[0]
    done = subprocess.run(
        ["ssh-audit", "--json", address], capture_output=True, text=True, timeout=120, check=False
    )
    told = json.loads(done.stdout)
    found: dict[str, list[str]] = {}
    for kind in ("kex", "key", "enc", "mac"):
        for algorithm in told[kind]:
            for level, notes in algorithm["notes"].items():
                if level != "info":
                    name = algorithm["algorithm"]
                    found.setdefault(level, []).extend(f"{kind} {name}: {n}" for n in notes)
    for cve in told["cves"]:
        found.setdefault("fail", []).append(cve["name"])
    return found


# OpenSCAP's rules for Debian 13 are in Debian testing only. The package depends on nothing.
RULES = trees.Tree(
    "rules",
    "trixie",
    packages="",
    script="""
    mkdir -p /opt/rules/lists/partial
    cd /opt/rules
    awk '$1 == "deb" {print $1, $2, "testing main"; exit}' /etc/apt/sources.list > sources.list
    options="-o Dir::Etc::SourceList=$PWD/sources.list -o Dir::Etc::SourceParts=-"
    options="$options -o Dir::State::Lists=$PWD/lists"
    apt-get $options -o Acquire::Check-Valid-Until=false update
    apt-get $options download ssg-debian
    dpkg-deb --extract ssg-debian_*.deb .
    dpkg-deb --field ssg-debian_*.deb Version > version
    """,
)


def openscap_rules() -> Path:
    """Return the folder of the rules, with the file `version` of their package."""
    return trees.made(RULES)["trixie"] / "opt/rules"


RULE = "xccdf_org.ssgproject.content_rule_"


def rules_like(content: str, patterns: Iterable[str]) -> list[str]:
    """Return the content's rules that match a pattern."""
    rules = set(re.findall(rf'Rule [^>]*id="{RULE}([^"]+)"', content))
    return sorted(rule for rule in rules if any(fnmatchcase(rule, each) for each in patterns))


def openscap(
    name: str, content: str, profile: str, skipped: Iterable[str] = ()
) -> dict[str, list[str]]:
    """Return OpenSCAP's results on a host without the skipped rules, {result: [rules]}.

    The tool skips most rules if it sees podman's mark of a container, so the mark is removed. It
    also skips them without the package linux-base, which every host with its own kernel has.
    """
    host = connect(name)
    install(host, "openscap-scanner", "linux-base")
    host.check_output("install -d -m 0700 %s", FOLDER)
    text = (openscap_rules() / "usr/share/xml/scap/ssg/content" / content).read_bytes()
    ssh = ["ssh", "-F", str(ROOT / ".lab" / "ssh_config")]
    # In one step, since a measurement by another profile may be reading it.
    path = f"{FOLDER}/{content}"
    put = f"sudo sh -c 'cat > {path}.$$ && mv {path}.$$ {path}'"
    subprocess.run([*ssh, name, put], input=text, capture_output=True, check=True)
    host.run("umount /run/.containerenv; rm -f /run/.containerenv")
    skip = " ".join(f"--skip-rule {RULE}{rule}" for rule in rules_like(text.decode(), skipped))
    told = host.run(
        f"oscap xccdf eval {skip} --profile %s %s",
        f"xccdf_org.ssgproject.content_profile_{profile}",
        path,
    ).stdout
    found: dict[str, list[str]] = {}
    for rule, result in re.findall(
        r"^Rule\s+\S+content_rule_(\S+).*?^Result\s+(\S+)", told, re.M | re.S
    ):
        found.setdefault(result, []).append(rule)
    assert found, told[-500:]
    return found


def share(results: dict[str, list[str]]) -> float:
    """Return the share of passed rules among those that passed or failed."""
    passed, failed = len(results.get("pass", [])), len(results.get("fail", []))
    return passed / (passed + failed)
