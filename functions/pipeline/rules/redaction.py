"""Taking secrets out of text that users, notifications and logs get to see."""

import re

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


def redact(text: str) -> str:
    """The text with what looks like a secret made unreadable."""
    for pattern in _SECRETS:
        text = pattern.sub(lambda match: (match[1] if match.re.groups else "") + _HIDDEN, text)
    return text
