"""Clients of the emulator that see nothing of the user's own AWS configuration."""

import os
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from local.settings import REGION

ACCESS_KEY = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""The emulator asks for a key and accepts any."""

# name: (setting in a config file, environment variable, default, conversion)
_NO_USER_CONFIGURATION = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def isolated_session() -> boto3.Session:
    """A session that reads neither ~/.aws nor AWS_PROFILE, which may name a profile that is not there."""
    return boto3.Session(botocore_session=botocore.session.Session(session_vars=_NO_USER_CONFIGURATION))


def client_arguments(emulator_url: str) -> dict[str, Any]:
    """Arguments of a client for the emulator."""
    return {
        "endpoint_url": emulator_url,
        "region_name": REGION,
        "aws_access_key_id": ACCESS_KEY["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": ACCESS_KEY["AWS_SECRET_ACCESS_KEY"],
        "config": Config(connect_timeout=5, read_timeout=60, proxies={}, retries={"max_attempts": 2}),
    }
