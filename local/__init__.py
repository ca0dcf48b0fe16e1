"""The local cloud: the whole stack on one machine, with no account and no Docker. Start reading at `cloud.py`."""
