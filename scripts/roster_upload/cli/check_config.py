"""`check-config`: check each configuration file, and all of them for conflicts."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.terminal.output import show


def _unknown(urls: Sequence[str]) -> Iterator[str]:
    """Yield a text for each URL that Apprise on this host does not know."""
    if not urls:
        return
    # Only feeds with such URLs need it.
    from roster_upload.notify.channels import apprise  # noqa: PLC0415

    for position, url in enumerate(urls, 1):
        try:
            if text := apprise.problem(url):
                yield f"entry {position}: {text}"
        except ImportError:
            yield "Apprise is not installed. Run site.yml"
            return


def check_config(given: argparse.Namespace) -> int:
    """Check the named files, or all of the host. Raise Failure with a line for each problem."""
    paths = given.paths or sorted(given.config_dir.glob("*.toml"))
    if not paths:
        raise Failure(Exit.CONFIG, f"no feed is configured in {given.config_dir}. Run site.yml")
    problems, values = [], []
    for path in paths:
        try:
            values.append(config.read(path))
            # Ansible checks a file under a temporary name before it installs it.
            in_place = path.resolve().parent == given.config_dir.resolve()
            feed = config.parse(values[-1], str(path), name=path.stem if in_place else None)
            problems += [f"{path}: alert_urls: {text}" for text in _unknown(feed.alert_urls)]
        except config.ConfigError as error:
            problems += error.message.split("\n")
    where = ", ".join(map(str, paths))
    problems += [f"{where}: {p.key}: {p.message}" for p in config.cross_problems(values)]
    if problems:
        raise Failure(Exit.CONFIG, *problems)
    show(f"{len(paths)} configuration file{'s are' if len(paths) > 1 else ' is'} good")
    return Exit.OK
