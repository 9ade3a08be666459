"""Control Debian's own Chromium, headless, with access only to given files."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from support import waiting

PACKAGES = ["chromium", "fonts-dejavu-core"]
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str:
    """Return the browser's path. Install it if it is missing."""
    with Path(tempfile.gettempdir(), f"roster-chromium-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel tests would install it twice
        _install_chromium()
    found = shutil.which("chromium")
    assert found
    return found


def _install_chromium() -> None:
    if not shutil.which("chromium"):
        if os.getuid():
            pytest.skip(f"needs the packages {' '.join(PACKAGES)}, which only root can install")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = ["apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES]
        for command in (["apt-get", "update", "--quiet"], install):
            subprocess.run(command, env=environment, check=True, capture_output=True)


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser with a new, empty profile."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=FLAGS, chromium_sandbox=os.getuid() != 0
        )
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """An opened page, with all its messages and requests."""

    def __init__(self, browser: Browser, path: Path, **context: object) -> None:
        self.page: Page = browser.new_context(**context).new_page()  # type: ignore[arg-type]
        self.page.set_default_timeout(waiting.HANG_SECONDS * 1000)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url)
        self.page.wait_for_selector("html[data-ready]")
