"""No password is ever shown, and names are safe as file names."""

from __future__ import annotations

import pytest

from edgeseg.runtime.sources.source_names import redact, safe_name

SECRETS = [
    "s3cr3t",
    "p@ss",
    "a:b",
    "per%cent",
    "sla/sh",
    "ümlaut",
    "with space",
    "q?x=1",
    "#hash",
    "a@b:c/d@e",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_redact_hides_every_password(secret: str) -> None:
    for text in (
        f"rtsp://bob:{secret}@10.0.0.7:554/live",
        f"cannot open http://bob:{secret}@cam/x.mp4",
    ):
        hidden = redact(text)
        assert secret not in hidden and "bob:***@" in hidden
        assert hidden.endswith(text[text.rindex("@") :])


def test_redact_hides_tokens_and_keeps_the_rest() -> None:
    assert (
        redact("http://cam/x?user=bob&password=geheim&ch=1")
        == "http://cam/x?user=bob&password=***&ch=1"
    )
    assert redact("rtsp://t0ken@cam/x") == "rtsp://***@cam/x"
    for plain in ("rtsp://cam:554/live", "/dev/video0", "clips/*.mp4", "mail bob@example.org"):
        assert redact(plain) == plain


def test_safe_names_are_file_names() -> None:
    assert safe_name("10.0.0.7:554/live/1") == "10.0.0.7-554-live-1"
    assert safe_name("../..") == "camera" and "/" not in safe_name("a/b")
