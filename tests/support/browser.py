"""Control Debian's own Chromium, headless, with access only to given files."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


def tab(browser: Browser, **context: Any) -> Page:
    """Return a new tab. It has a process of its own, which starts slower than a page loads."""
    page = browser.new_context(**context).new_page()
    page.set_default_timeout(waiting.HANG_SECONDS * 1000)
    return page


class Visit:
    """A page that a tab opens, with all its messages and requests."""

    def __init__(self, page: Page, path: Path, **media: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        self._listeners: dict[Any, Callable[[Any], None]] = {
            "console": lambda message: self.said.append(message.text),
            "pageerror": lambda error: self.said.append(str(error)),
            "dialog": lambda dialog: self.said.append(dialog.message),
            "request": lambda request: self.asked.append(request.url),
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)
        page.emulate_media(**{"color_scheme": "light", "reduced_motion": "no-preference", **media})
        self.url = path.as_uri()
        page.goto(self.url)
        page.wait_for_selector("html[data-ready]")

    def leave(self) -> None:
        """Stop listening, so that the tab can open another page."""
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)

    def end(self) -> None:
        """Leave the page. Assert that it stayed silent and requested nothing."""
        self.leave()
        assert self.said == []
        assert self.asked == [self.url]
