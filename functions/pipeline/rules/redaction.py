"""Taking secrets out of text that users, notifications and logs get to see."""

import re
from collections.abc import Sequence

_HIDDEN = "***"

_SECRETS = (
    # Access key ids (IAM user guide, "Unique identifiers"): AKIA of users, ASIA of sessions.
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    # What makes a presigned URL work (Signature Version 4, query parameters).
    re.compile(r"(?<=X-Amz-Signature=)[^&\s\"']+"),
    re.compile(r"(?<=X-Amz-Security-Token=)[^&\s\"']+"),
    re.compile(r"(?<=X-Amz-Credential=)[^&\s\"']+"),
    # Assignments and headers, in the forms of environments, INI files, JSON and HTTP.
    re.compile(
        r"(?i)(?<![a-z])((?:aws_secret_access_key|aws_session_token|secretaccesskey|sessiontoken|x-api-key|password)"
        r"[\"']?\s*[:=]\s*[\"']?)[^\s\"',}&]+"
    ),
    re.compile(r"(?i)(authorization[\"']?\s*[:=]\s*[\"']?(?:bearer|basic)\s+)[^\s\"',}]+"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
)

# What is left of a private key where a page of lines begins or ends within it (RFC 7468: 64 characters a line).
_KEY_LINE = re.compile(r"(?m)^(?![0-9a-f]+$)[A-Za-z0-9+/]{64}$")
_KEY_END = re.compile(r"(?m)(?:^[A-Za-z0-9+/=]{1,64}\n){0,120}-----END [A-Z ]*PRIVATE KEY-----")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal obeys, line ends but "\\n", what turns a text round, halves of characters."""

_MAX_LINE_CHARACTERS = 2000


def redact(text: str) -> str:
    """The text without what looks like a secret, and without what a terminal obeys: it may quote a build."""
    text = _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))
    for pattern in _SECRETS:
        text = pattern.sub(_hidden, text)
    return text


def redact_lines(lines: Sequence[str]) -> list[str]:
    """As many lines, without secrets (of those that span several, too), without what a terminal obeys, none too long.

    Args:
        lines: of a log, without their ends; any part of it may have been cut off before and after.
    """
    text = "\n".join(_UNPRINTABLE.sub("\ufffd", line.rstrip("\r\n").replace("\n", " ")) for line in lines)
    for pattern in (*_SECRETS, _KEY_END, _KEY_LINE):
        text = pattern.sub(_hidden_with_line_ends, text)
    return [_cut(line) for line in text.split("\n")] if lines else []


def _hidden(match: re.Match[str]) -> str:
    return _kept(match) + _HIDDEN


def _hidden_with_line_ends(match: re.Match[str]) -> str:
    return _hidden(match) + "\n" * match[0].removeprefix(_kept(match)).count("\n")


def _kept(match: re.Match[str]) -> str:
    return str(match[1]) if match.re.groups else ""


def _cut(line: str) -> str:
    more = len(line) - _MAX_LINE_CHARACTERS
    return line if more <= 0 else f"{line[:_MAX_LINE_CHARACTERS]}… ({more} characters more)"
