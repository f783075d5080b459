from __future__ import annotations

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from claude_headspace.address import address_fault, libpq_url, mask_password, told_by_driver

GOOD = [
    "postgresql://h/d",
    "postgresql:///d?host=/run&port=5432",
    "postgresql://u@h",
    "postgresql://u:p@h:5432/d?sslmode=require",
    "postgresql://u:p%40%25@h1:5432,h2:5433/d?target_session_attrs=read-write",
    "postgresql://u:p?w@[::1]:5432/d",
    "postgresql://%2Frun%2Fpg/d?password=p&sslpassword=q",
    "postgresql://",
]
BAD = [
    "postgresql://u:p%zz@h/d",
    "postgresql://u:p%00@h/d",
    "postgresql://u:p%4@h/d",
    "postgresql://u:p/w@h/d",
    "postgresql://u:1/w@h/d",
    "postgresql://u:hush",
    "postgresql://[::1/d",
    "postgresql://h/d?password",
    "postgresql://h/d?password=a=b",
    "mysql://h/d",
    "host=h password=p",
    "",
]


@pytest.mark.parametrize("url", GOOD)
def test_what_is_right_is_what_libpq_can_read(url: str) -> None:
    assert address_fault(url) is None
    assert isinstance(parse_dsn(libpq_url(url)), dict)


@pytest.mark.parametrize("url", BAD)
def test_what_is_wrong_is_told_without_a_word_of_it(url: str) -> None:
    fault = address_fault(url)
    assert fault is not None
    assert "hush" not in fault
    assert fault.startswith("must be a")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_scheme_is_understood(scheme: str) -> None:
    url = f"{scheme}://u:p@h:5432/d?sslmode=require"
    assert libpq_url(url) == "postgresql://u:p@h:5432/d?sslmode=require"


def test_an_at_sign_in_a_password_belongs_to_the_password() -> None:
    place = parse_dsn(libpq_url("postgresql://u:hu@sh@h:5432/d"))
    assert (place["user"], place["password"], place["host"]) == ("u", "hu@sh", "h")


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:hu@sh@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        ("postgresql:///d?password=p&host=h", "postgresql:///d?password=***&host=h"),
        ("postgresql:///d?sslpassword=p", "postgresql:///d?sslpassword=***"),
        ("host=h password = 'a b' user=u", "host=h password = *** user=u"),
        ("password=p", "password=***"),
        ("{'host': 'h', 'password': 'a b'}", "{'host': 'h', 'password': ***}"),
        (None, None),
    ],
)
def test_mask_password(text: str | None, masked: str | None) -> None:
    assert mask_password(text) == masked


def test_the_drivers_own_words_are_not_repeated_where_they_quote() -> None:
    with pytest.raises(psycopg2.ProgrammingError) as caught:
        psycopg2.connect("postgresql://u:hush%zz@localhost/d", application_name="x")
    assert "hush" in str(caught.value)
    assert "hush" not in told_by_driver(caught.value)
