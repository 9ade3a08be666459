"""`check-config`: check each configuration file, and all of them for conflicts."""

from __future__ import annotations

import argparse

from roster_upload import config
from roster_upload.exits import Exit, Failure
from roster_upload.terminal.output import show


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
            config.parse(values[-1], str(path), name=path.stem if in_place else None)
        except config.ConfigError as error:
            problems += error.message.split("\n")
    where = ", ".join(map(str, paths))
    problems += [f"{where}: {p.key}: {p.message}" for p in config.cross_problems(values)]
    if problems:
        raise Failure(Exit.CONFIG, *problems)
    show(f"{len(paths)} configuration file{'s are' if len(paths) > 1 else ' is'} good")
    return Exit.OK
