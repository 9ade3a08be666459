"""Check enrollments against their sessions and classes: days, schools and teachers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from roster_upload.guard.calendar import ALWAYS, Calendar, Session
from roster_upload.guard.hashing import Hashes, Numbers
from roster_upload.guard.record_sets import ChunkedArray
from roster_upload.spec import spec
from roster_upload.validation import text
from roster_upload.validation.batch import Batch, Indices
from roster_upload.validation.columns import Numbered, Values
from roster_upload.validation.findings import Findings

FILE = "enrollments.csv"
# Bits for a number of terms or days. No real export has numbers beyond them.
NUMBER_BITS = 21
COUNTED_AT_ONCE = 1 << 20
# Most distinct combinations of terms and days in the cache.
REMEMBERED = 50_000
# Most spans of primary teachers of a class that the next one is compared with.
REMEMBERED_SPANS = 100


class Calendars(dict[Calendar, int]):
    """A number for each distinct calendar, 0 for that of records without days."""

    def __init__(self) -> None:
        super().__init__({ALWAYS: 0})

    def __missing__(self, calendar: Calendar) -> int:
        self[calendar] = number = len(self)
        return number


class Sessions:
    """The academic sessions: their days by sourcedId."""

    def __init__(self) -> None:
        self.days: dict[str, tuple[str, str]] = {}
        self._types: dict[str, str] = {}
        self._found: dict[str, tuple[tuple[str, str], ...] | None] = {}
        self.used: set[str] = set()

    def add(self, ids: list[str], types: list[str], first: list[str], last: list[str]) -> None:
        """Add a batch. An invalid day has its own rule, and counts as absent here."""
        days = zip(map(day_of, first), map(day_of, last), strict=True)
        self.days.update(zip(ids, days, strict=True))
        self._types.update(zip(ids, types, strict=True))

    def all(self) -> list[Session]:
        """Return all sessions."""
        return [
            Session(self._types[one], *days, one in self.used) for one, days in self.days.items()
        ]

    def of(self, terms: str) -> tuple[tuple[str, str], ...] | None:
        """Return the days of a list of sessions, None if one is not known.

        A session includes its last day. Receivers differ about it, and a day more is harmless.
        """
        if terms not in self._found:
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            self._found[terms] = self._days_of(terms)
        return self._found[terms]

    def _days_of(self, terms: str) -> tuple[tuple[str, str], ...] | None:
        items = [item for item in text.plain_list(terms).split(",") if item]
        self.used.update(items)
        found = [self.days.get(item) for item in items]
        if not all(day and all(day) for day in found):
            return None
        return tuple(sorted({(day[0], day_after(day[1])) for day in found if day})) or None


class Classes:
    """The schools, terms and courses of the classes, by the number of the class."""

    def __init__(self, schools: Numbered, sessions: Sessions, calendars: Calendars) -> None:
        self.schools, self.sessions, self.calendars = schools, sessions, calendars
        self.terms = Numbered()
        self._whens: list[int] = []  # the calendar of each list of terms
        self._parts = {name: ChunkedArray() for name in ("school", "terms", "course", "hash")}
        self.school_of: Numbers = np.zeros(1, np.uint32)
        self.terms_of: Numbers = np.zeros(1, np.uint32)
        self.course_of: Indices = np.zeros(0, np.int64)
        self.hash_of: Hashes = np.zeros(0, np.uint64)
        self.has_teacher: npt.NDArray[np.bool_] = np.zeros(0, np.bool_)

    def add(self, school: Numbers, terms: Values, course: Indices, hashes: Hashes) -> Numbers:
        """Add a batch. Return the number of each class's calendar."""
        numbers = self.terms.of(terms)
        self._parts["school"].add(school)
        self._parts["terms"].add(numbers)
        self._parts["course"].add(course)
        self._parts["hash"].add(hashes)
        for one in self.terms.texts[len(self._whens) :]:
            self._whens.append(self.calendars[Calendar("", "", self.sessions.of(one))])
        return np.array(self._whens, np.uint32)[numbers]

    def ready(self) -> None:
        """Join all batches. The entry after the last class is for unknown classes."""
        if self._parts["hash"]:
            nobody = np.zeros(1, np.uint32)
            self.school_of = np.append(self._parts["school"].joined(), nobody)
            self.terms_of = np.append(self._parts["terms"].joined(), nobody)
            self.course_of = self._parts["course"].joined()
            self.hash_of = self._parts["hash"].joined()
            self.has_teacher = np.zeros(len(self.hash_of) + 1, np.bool_)

    def whens_of_courses(self, count: int) -> Numbers:
        """Return the calendar of each course, made of the sessions of its classes."""
        sessions: list[set[tuple[str, str]] | None] = [set() for _ in range(count)]
        for course, terms in np.unique(
            np.column_stack([self.course_of, self.terms_of[: len(self.course_of)]]), axis=0
        ).tolist():
            days, so_far = self.sessions.of(self.terms.texts[terms]), sessions[course]
            if course >= 0:
                sessions[course] = None if days is None or so_far is None else so_far.union(days)
        calendars = [
            Calendar("", "", None if days is None else tuple(sorted(days))) for days in sessions
        ]
        return np.array([self.calendars[one] for one in calendars], np.uint32)


class Crowd:
    """Count the enrollments of each class and calendar."""

    def __init__(self) -> None:
        self._waiting = ChunkedArray()
        self._pairs, self._counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        self._rows = 0

    def add(self, lessons: Indices, whens: Numbers) -> None:
        """Add the numbers of a batch's classes (-1 if unknown) and calendars."""
        known = lessons >= 0
        pairs = (lessons[known].astype(np.uint64) << np.uint64(32)) | whens[known]
        self._waiting.add(pairs)
        self._rows += len(pairs)
        if self._rows >= COUNTED_AT_ONCE:
            self._count()

    def _count(self) -> None:
        if self._waiting:
            pairs, counts = np.unique(self._waiting.joined(), return_counts=True)
            self._pairs, at = np.unique(np.append(self._pairs, pairs), return_inverse=True)
            totals = np.bincount(at.ravel(), np.append(self._counts, counts), len(self._pairs))
            self._counts, self._rows = totals.astype(np.int64), 0

    def all(self) -> tuple[Indices, Numbers, Numbers]:
        """Return the classes, the calendars, and the number of enrollments of each pair."""
        self._count()
        whens = (self._pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32)
        lessons = (self._pairs >> np.uint64(32)).astype(np.int64)
        return lessons, whens, self._counts.astype(np.uint32)


class Enrollments:
    """The rules between an enrollment and its class, and its days."""

    def __init__(self, findings: Findings, at: Mapping[str, int], classes: Classes) -> None:
        self.findings, self.at, self.classes = findings, at, classes
        self.days, self.roles, self.flags = Numbered(), Numbered(), Numbered()
        self._whens: dict[int, int] = {}  # terms and days: the number of their calendar
        self._outside: dict[int, tuple[bool, bool]] = {}  # whether the first and the last day are
        self._primary: dict[int, list[tuple[str, str]]] = {}  # class: days of primary teachers
        self._crowd = Crowd()
        self._known_roles: list[str] = spec("oneroster-1.1")["enums"]["enrollment_role"]
        self.students = 0

    def look(
        self, batch: Batch, values: list[Values], numbers: Indices, schools: Numbers
    ) -> Numbers:
        """Check a batch. Return the number of each enrollment's calendar.

        `numbers` are those of the classes, -1 for unknown ones. `schools` are 0 for unknown ones.
        """
        classes = self.classes
        of_class = classes.school_of[numbers]
        elsewhere = (of_class != schools) & (of_class != 0) & (schools != 0) & (numbers >= 0)
        self._report("enrollment.school", "schoolSourcedId", batch, np.flatnonzero(elsewhere))
        begin = self.days.of(values[self.at["beginDate"]])
        end = self.days.of(values[self.at["endDate"]])
        terms = np.where(numbers >= 0, classes.terms_of[numbers], 0)
        whens = self._look_at_days(batch, terms, begin, end)
        roles = self.roles.of(values[self.at["role"]])
        self._look_at_roles(batch, numbers, roles)
        primary = values[self.at["primary"]]
        if primary.longest:
            self._look_at_primary(batch, primary, numbers, roles, begin, end)
        self._crowd.add(numbers, whens)
        return whens

    def _report(self, rule: str, column: str, batch: Batch, rows: Indices) -> None:
        self.findings.add_rows(rule, FILE, column, batch.first + rows)

    def _look_at_days(self, batch: Batch, terms: Numbers, begin: Numbers, end: Numbers) -> Numbers:
        """Check each distinct combination of terms and days once. Return the calendars' numbers."""
        numbers = np.column_stack([terms, begin, end]).astype(np.uint64)
        numbers &= np.uint64((1 << NUMBER_BITS) - 1)
        shift = np.uint64(NUMBER_BITS)
        combined = (((numbers[:, 0] << shift) | numbers[:, 1]) << shift) | numbers[:, 2]
        if (combined == combined[0]).all():
            distinct, back = combined[:1], np.zeros(len(combined), np.intp)
        else:
            distinct, back = np.unique(combined, return_inverse=True)
        whens: Numbers = np.empty(len(distinct), np.uint32)
        outside = np.zeros((len(distinct), 2), np.bool_)
        for at, one in enumerate(distinct.tolist()):
            if one not in self._whens:
                if len(self._whens) >= REMEMBERED:
                    self._whens.clear()
                self._whens[one], self._outside[one] = self._facts(one)
            whens[at], outside[at] = self._whens[one], self._outside[one]
        back = back.ravel()
        for column, is_outside in zip(("beginDate", "endDate"), outside.T, strict=True):
            if is_outside.any():
                self._report("enrollment.term", column, batch, np.flatnonzero(is_outside[back]))
        return np.asarray(whens[back], np.uint32)

    def _facts(self, combined: int) -> tuple[int, tuple[bool, bool]]:
        """Return the calendar of a combination, and which of its days are outside of its terms."""
        mask = (1 << NUMBER_BITS) - 1
        terms, begin, end = (combined >> NUMBER_BITS * n & mask for n in (2, 1, 0))
        first, last = day_of(self.days.texts[begin]), day_of(self.days.texts[end])
        sessions = self.classes.sessions.of(self.classes.terms.texts[terms])
        when = self.classes.calendars[Calendar(first, last, sessions)]
        # Swapped days are reported as `value.order`.
        if sessions is None or any(day >= over for day, over in sessions):
            return when, (False, False)
        start, over = sessions[0][0], max(day for _, day in sessions)
        is_outside = (bool(first) and not start <= first <= over, bool(last) and last > over)
        return when, is_outside

    def _look_at_roles(self, batch: Batch, numbers: Indices, roles: Numbers) -> None:
        if self.classes.has_teacher.size and "teacher" in self.roles.texts:
            teachers = roles == self.roles.texts.index("teacher")
            self.classes.has_teacher[numbers[teachers]] = True
        if "student" in self.roles.texts:
            self.students += int(np.count_nonzero(roles == self.roles.texts.index("student")))

    def _look_at_primary(
        self,
        batch: Batch,
        primary: Values,
        numbers: Indices,
        roles: Numbers,
        begin: Numbers,
        end: Numbers,
    ) -> None:
        flags = self.flags.of(primary)
        if "true" not in self.flags.texts:
            return
        rows = np.flatnonzero(flags == self.flags.texts.index("true"))
        is_teacher = np.array([role == "teacher" for role in self.roles.texts])[roles[rows]]
        is_role = np.array([role in self._known_roles for role in self.roles.texts])[roles[rows]]
        self._report("enrollment.primary", "primary", batch, rows[is_role & ~is_teacher])
        rows = rows[is_teacher & (numbers[rows] >= 0)]
        texts = self.days.texts
        twice = []
        for row, lesson, first, last in zip(
            rows.tolist(), numbers[rows].tolist(), begin[rows], end[rows], strict=True
        ):
            days = (texts[first] or "0", texts[last] or "9")
            others = self._primary.setdefault(lesson, [])
            if any(start < days[1] and days[0] < over for start, over in others):
                twice.append(row)
            if len(others) < REMEMBERED_SPANS:
                others.append(days)
        self._report("enrollment.two-primary", "primary", batch, np.array(twice, np.int64))

    def crowds(self) -> tuple[Hashes, Numbers, Numbers]:
        """Return the enrollments of each class: hash of the class, calendar, their number."""
        lessons, whens, counts = self._crowd.all()
        return self.classes.hash_of[lessons], whens, counts


def day_of(value: str) -> str:
    """Return a value as a day, without white space at its edges, "" if it is not a day."""
    plain: str = text.plain(value)
    return plain if text.is_day(plain) else ""


def day_after(day: str) -> str:
    """Return the day after an ISO 8601 day. Return any other text unchanged."""
    try:
        return (dt.date.fromisoformat(day) + dt.timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return day
