"""Validates a school district's roster export and delivers it over SFTP, with proof."""

import functools
from collections.abc import Mapping

__version__ = "0.2.0"  # the release

BUILD_FILE = "build.txt"  # in the program on a host
KINDS = (".py", ".toml")  # files of the program
BUILD_DIGITS = 7


@functools.cache
def version() -> str:
    """Return the release and the build, such as 0.2.0+3f9c2a1.

    The build is made from the program's sources. So it is the same on a host and in a checkout if
    they have the same program, and a commit that changes only other files has the same one.
    """
    import pkgutil  # noqa: PLC0415 - most commands do not need it

    try:
        build = (pkgutil.get_data(__name__, BUILD_FILE) or b"").decode()
    except OSError:  # a checkout
        build = build_of(sources())
    return f"{__version__}+{build}"


def sources() -> dict[str, bytes]:
    """Return the program's files in a checkout, by their paths below `scripts`."""
    from pathlib import Path  # noqa: PLC0415

    home = Path(__file__).parent
    paths = sorted(path for path in home.rglob("*") if path.suffix in KINDS)
    return {path.relative_to(home.parent).as_posix(): path.read_bytes() for path in paths}


def build_of(files: Mapping[str, bytes]) -> str:
    """Return the first digits of the digest of files."""
    import hashlib  # noqa: PLC0415

    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
    return digest.hexdigest()[:BUILD_DIGITS]
