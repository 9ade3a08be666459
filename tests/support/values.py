"""Values for tests: any that a program can hold, and any that JSON can say."""

from __future__ import annotations

import enum
from pathlib import Path

from hypothesis import strategies as st


class Awkward:
    """Values that do not belong in a receipt."""

    def __str__(self) -> str:
        raise RuntimeError


class Colour(enum.IntEnum):
    RED = 3


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()))
    | st.binary(max_size=8)
    | st.binary(max_size=8).map(lambda raw: Path(raw.replace(b"\0", b"?").decode("latin-1")))
    | st.binary(min_size=1, max_size=8).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    | st.datetimes()
    | st.dates()
    | st.sampled_from([Awkward(), object, Colour.RED, 10**400, {1}, (2,), 1j])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=12,
)

PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False,
    allow_infinity=False) | PRINTABLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PRINTABLE, inner, max_size=3),
    max_leaves=12,
)  # fmt: skip
