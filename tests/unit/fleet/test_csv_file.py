"""CSV files as spreadsheets write them."""

from __future__ import annotations

import pytest
from new_districts import HEAD, OAK, rows
from roster_fleet.onboard.csv_file import from_csv
from roster_fleet.onboard.districts import (
    OnboardError,
)


def test_problems_of_all_rows_are_reported_at_once() -> None:
    with pytest.raises(OnboardError) as error:
        rows(",,A,1,,,,,a@x.example,", "b,,B,0 1,,,,,,")
    assert len(error.value.problems) == 3


def test_passwords_need_an_encrypted_file() -> None:
    with pytest.raises(OnboardError, match="ansible-vault encrypt") as error:
        rows(OAK + "hush", sealed=False)
    assert "hush" not in str(error.value)
    assert "hush" not in repr(rows(OAK + "hush"))


def test_csv_as_spreadsheets_write_it() -> None:
    head, row = "Host;Site Code;District;Username;Source", "a;007;Pen\u0303a;x@x.example;/mnt/x.zip"
    text = f"\ufeff{head}\r\n{row}\r\n;;;;\r\n"
    [district] = from_csv(text.encode(), "x.csv", sealed=False)
    assert (district.site_code, district.district) == ("007", "Peña")
    assert district.feed_values == {"source": "/mnt/x.zip"}
    with pytest.raises(OnboardError, match="line 2: is not UTF-8"):
        from_csv("host\nPeña".encode("cp1252"), "x.csv", sealed=False)
    with pytest.raises(OnboardError, match="Did you mean site_code"):
        from_csv(b"host,sitecode,district,username\n", "x.csv", sealed=False)


def test_a_repeated_header_is_no_district() -> None:
    with pytest.raises(OnboardError, match="row 3: repeats the names of the columns"):
        rows(OAK, HEAD.upper())


@pytest.mark.parametrize(
    "text",
    [
        "\n ,,\n{head},,\n{row},,\n",
        "{head}\n{row},,,\n\n",
        "sep=,\r\n{head}\r\n{row}\r\n",
        "\ufeffsep=;\n{head};;\n\n{row};\n",
    ],
)
def test_what_spreadsheets_add_is_skipped(text: str) -> None:
    separator = ";" if "sep=;" in text else ","
    head = separator.join(("host", "district", "site_code", "username"))
    row = separator.join(("oak", "Oak", "1", "a@b.example"))
    data = text.format(head=head, row=row).encode()
    (district,) = from_csv(data, "new.csv", sealed=False)
    assert (district.host, district.username) == ("oak", "a@b.example")
    number = data.decode().split("\n").index(next(x for x in data.decode().split("\n") if row in x))
    assert district.where == f"new.csv, row {number + 1}"


def test_a_column_without_a_name_is_refused() -> None:
    with pytest.raises(OnboardError, match=r"row 1: column 2 has no name"):
        from_csv(b"host,,district,site_code,username\noak,x,Oak,1,a\n", "new.csv", sealed=False)
