from __future__ import annotations

import re
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_headspace.archive.overwrite import overwritten
from claude_headspace.events.event import Event, derived_key
from claude_headspace.events.redaction import (
    READY_MADE,
    Redactor,
    SecretPattern,
    make_redactor,
    redact_event,
)

REDACTOR = Redactor(READY_MADE)
ALNUM = "Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcD4fGh7jKl0n"
PGP_HEAD = "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2"
PEM_BODY = "\n".join(["MIIEpAIBAAKCAQEA" + "x" * 48] * 3)

# (text around the secret with {}, the secret, the kind)
SECRETS = [
    ("key {} here", f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}\n-----END RSA PRIVATE KEY-----",
     "private_key"),
    ("{}", f"{PGP_HEAD}\n\n{PEM_BODY}\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----", "private_key"),
    ("cut off {} then prose", f"-----BEGIN PRIVATE KEY-----\n{PEM_BODY}", "private_key"),
    ("escaped {}", r"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----",
     "private_key"),
    ("id {},", "AKIAIOSFODNN7EXAMPLE", "aws_access_key"),
    ("git clone with {}", f"ghp_{ALNUM[:36]}", "github_token"),
    ("({})", f"gho_{ALNUM[:36]}", "github_token"),
    ("{}\n", f"github_pat_{ALNUM[:22]}_{ALNUM}", "github_token"),
    ("`{}`", "glpat-abcDEF123-_4567890123", "gitlab_token"),
    ("say {}", "xoxb-123456789012-abcdefGHIJKL", "slack_token"),
    ("post to https://{}", "hooks.slack.com/services/T00000000/B00000000/abcdefghijkl",
     "slack_webhook"),
    ("maps {}", "AIza" + ALNUM[:35], "google_key"),
    ("{} works", "sk-ant-api03-" + ALNUM, "anthropic_key"),
    ("{} works", "sk-proj-" + ALNUM, "openai_key"),
    ("{} works", "sk-" + ALNUM, "openai_key"),
    ("pay {}", "sk_live_" + ALNUM[:24], "stripe_key"),
    ("publish {}", "npm_" + ALNUM[:36], "npm_token"),
    ("cookie {};", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP_mB92", "jwt"),
    ("-H 'Authorization: Bearer {}'", "abcdefghijklmnop.qrstuv-wxyz==", "authorization"),
    ("bearer {} sent", "0123456789abcdef0123456789", "authorization"),
    ("postgres://app:{}@db:5432/log", "p4ss@w0rd", "url_password"),
    ("DB_PASSWORD={}\n", "hunter2", "password"),
    ('{{"password": "{}"}}', "two words", "password"),
    ('"{{\\"api_key\\": \\"{}\\", \\"a\\": 1}}"', "abc123", "password"),
    ("client_secret: '{}'", 'with "quotes"', "password"),
    ('passwd = "{}"', 'with \\" escapes', "password"),
    ("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "password"),
    ("https://h/?token={}&x=1", "a1b2c3d4e5f6g7h8", "password"),
]  # fmt: skip

INNOCENT = [
    "",
    "The monkey has a key and a token of thanks; bearer of good news, task-force-one-two-three.",
    "password = get_password()",
    "def login(user: str, password: str) -> None:",
    "input_tokens: 123456, token: next",
    'run grep "-----BEGIN RSA PRIVATE KEY-----" server.pem',
    "https://example.org:8080/path@version and git@github.com:o/r.git",
    "sk-learn, xox, AKIA, ghp_short, eyJ.eyJ.",
    "password: ",
]


@pytest.mark.parametrize(("around", "secret", "kind"), SECRETS)
def test_a_secret_is_replaced_and_nothing_else(around: str, secret: str, kind: str) -> None:
    redacted, count = REDACTOR.redact(around.format(secret))
    assert (redacted, count) == (around.format(f"[redacted:{kind}]"), 1)


@pytest.mark.parametrize("text", INNOCENT)
def test_text_without_secrets_is_unchanged(text: str) -> None:
    assert REDACTOR.redact(text) == (text, 0)


def test_all_are_counted() -> None:
    text = f"ghp_{ALNUM[:36]} and ghp_{ALNUM[:36]} and password=hunter2"
    assert REDACTOR.redact(text)[1] == 3


pieces = st.one_of(
    st.sampled_from([around.format(secret) for around, secret, _ in SECRETS]),
    st.sampled_from([secret for _, secret, _ in SECRETS]),
    st.sampled_from(INNOCENT),
    st.text(max_size=20),
    st.sampled_from(["password=", "://", "a:b@", '"', "\\", "-----", "eyJ", "[redacted:x]", "="]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(pieces, max_size=8).map("".join))
def test_nothing_that_matches_remains(text: str) -> None:
    redacted, count = REDACTOR.redact(text)
    assert REDACTOR.redact(redacted) == (redacted, 0)
    assert (count == 0) == (redacted == text)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(SECRETS), min_size=1, max_size=6))
def test_no_secret_survives_beside_others(chosen: list[tuple[str, str, str]]) -> None:
    redacted, count = REDACTOR.redact(
        "\n\n".join(around.format(secret) for around, secret, _ in chosen)
    )
    assert count == len(chosen)
    assert not any(secret in redacted for _, secret, _ in chosen)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters=":=-_."), max_size=200))
def test_text_that_cannot_hold_a_secret_is_unchanged(text: str) -> None:
    if "AKIA" not in text and "ASIA" not in text and "AIza" not in text and "earer" not in text:
        assert REDACTOR.redact(text) == (text, 0)


HINTS = " ".join(hint for pattern in READY_MADE for hint in pattern.hints)
HOSTILE = [
    "eyJ", "eyJaaaaaaaa.", "eyJaaaaaaaa.eyJ", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\n", "a-", 'password="', "password=", "password='", 'secret="\\',
    "a://", "a:", "://:", "a://b:", "bearer ", "authorization: bearer ", "sk-", "xoxa-", "ghp_",
    "-", "token=", "AKIA", "\\n", " ", "A ", '"', "hooks.slack.com/services/", "a", "secret: [",
]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
@pytest.mark.parametrize("before", ["", "-----BEGIN PRIVATE KEY-----", 'password="', "a://b:"])
def test_hostile_text_takes_time_in_proportion(before: str, unit: str) -> None:
    """Sixteen times the text: sixteen times as long if linear, 256 times if quadratic."""
    small, large = (
        min(_seconds(f"{HINTS}\n{before}{unit * (size // len(unit))}") for _ in range(2))
        for size in (8_000, 128_000)
    )
    assert large < 80 * max(small, 0.001)


def _seconds(text: str) -> float:
    start = time.process_time()
    REDACTOR.redact(text)
    return time.process_time() - start


LONG_KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("before", "secret", "behind"),
    [
        ('{"text":"my ', f"ghp_{ALNUM[:36]}", '","n":1}'),
        ('{"', f"ghp_{ALNUM[:36]}", '":1}'),
        ('{"a":"', f"ghp_{ALNUM[:36]}", '","a":"x"}'),
        ('{"env":{"API_KEY":"', "correct-horse", '"}}'),
        ('{"broken":"', f"ghp_{ALNUM[:36]}", '","n"'),
        ('{"n":1}\n$ cat key\n', LONG_KEY, '\n{"n":2}\n'),
        ("[\n", f'  "{LONG_KEY}"', "\n]"),
    ],
)
def test_in_archived_bytes_a_secret_is_overwritten_wherever_it_is(
    before: str, secret: str, behind: str
) -> None:
    content = f'{{"first":1}}\n{before}{secret}{behind}'.encode()
    after, found = overwritten(REDACTOR, content)
    assert (found, len(after), after.count(b"\n")) == (True, len(content), content.count(b"\n"))
    assert not any(line in after for line in secret.encode().split(b"\n"))
    assert after.startswith(b'{"first":1}\n')
    assert overwritten(REDACTOR, after) == (after, False)


@pytest.mark.parametrize(
    "line", ["", "12", '{"access_key":true}', '{"a":"b","c":[1.50,"\\u00e9"]}']
)
def test_archived_bytes_without_a_secret_are_unchanged(line: str) -> None:
    assert overwritten(REDACTOR, line.encode()) == (line.encode(), False)


def test_patterns_of_ones_own() -> None:
    whole = SecretPattern("badge", re.compile(r"badge-\d+"), ("badge-",))
    part = SecretPattern("pin", re.compile(r"pin (?P<number>\d{4})"))
    redacted = Redactor([whole, part]).redact("badge-77, pin 1234; ghp_untouched")
    assert redacted == ("[redacted:badge], pin [redacted:pin]; ghp_untouched", 2)


def test_a_pattern_that_matches_everything_leaves_what_identifies() -> None:
    said = {"session_uuid": "5c71475b", "line_uuid": "29da", "actor": "user", "text": "hush"}
    event = Event("turn_detected", datetime.now(UTC), said, derived_key("x"))
    redacted = redact_event(make_redactor([r".+"]), event)
    assert redacted.payload == {**said, "text": "[redacted:custom]"}
