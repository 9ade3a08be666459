"""Prepare the machine that runs the lab: Debian packages, and the mirrors that apt uses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from lab.process import LabError, say

# Program: the Debian package that contains it.
TOOLS = {
    "podman": "podman",
    "crun": "crun",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "iptables": "iptables",
    "nft": "nftables",
    "mmdebstrap": "mmdebstrap",
    "slirp4netns": "slirp4netns",
    "ssh": "openssh-client",
    "ip": "iproute2",
}


def need_tools(tools: dict[str, str] = TOOLS) -> None:
    """Install missing tools. Raise LabError with the command to type if that fails."""
    missing = sorted({package for tool, package in tools.items() if not shutil.which(tool)})
    if not missing:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if not shutil.which("apt-get"):
        raise LabError("missing tools. Install the equivalents of: " + " ".join(missing))
    say("installing " + " ".join(missing))
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "--quiet"], install):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(
                f"{done.stderr.strip()}\ncould not install the tools. Type: apt-get update && "
                + " ".join(install)
            )


def mirrors(folder: Path = Path("/etc/apt")) -> tuple[str, str]:
    """Return the machine's own package mirrors: (Debian's archive, its security archive).

    This reads both forms of apt's sources, and the lists that `mirror+file:` names, as in Debian's
    cloud images. Debian's own files come first, since other publishers may use /debian, too.
    """
    others = sorted((folder / "sources.list.d").glob("*"), key=lambda p: p.name != "debian.sources")
    lines: list[str] = []
    for path in [folder / "sources.list", *others]:
        if path.suffix in {".list", ".sources"} and path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                if not line.lstrip().startswith("#"):
                    lines.append(line)
                    lists = re.findall(r"mirror\+file:(?://)?(/\S+)", line)
                    lines += [Path(name).read_text(encoding="utf-8") for name in lists]
    found = re.findall(r"https?://\S*debian\S*", "\n".join(lines))
    security = [url for url in found if "security" in url]
    archive = [url for url in found if re.search(r"/debian/?$", url)]
    if not archive:
        raise LabError("no Debian mirror in /etc/apt/sources.list or sources.list.d. Add one there")
    return archive[0], security[0] if security else archive[0].rstrip("/") + "-security"
