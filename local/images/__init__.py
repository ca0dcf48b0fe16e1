"""The two container images of `container/Dockerfile`: built with Docker or Podman, with or without a registry at hand.

    engine ─▶ base image ─▶ wheels ─▶ build of each target, named by the hash of what went into it

`python -m local.images build` is the command line.
"""
