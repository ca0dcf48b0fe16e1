"""`mlagents-learn`, unmodified, on current protobuf: runs in `.venv-peers-fast`, takes `mlagents-learn`'s arguments."""

import runpy

from benchmarks.envs.fast_protobuf import install

if __name__ == "__main__":
    install()  # before anything of the reference is imported
    runpy.run_module("tests.peers.scripts.learn", run_name="__main__")
