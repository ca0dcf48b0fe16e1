"""What `make demo` runs: the whole way from a zip in a bucket to a policy that answers, on this machine.

`sample` packs the build, `cloud` brings the local cloud up and down, `drop` puts the zip into the bucket and finds its
run, `corridor` draws what the policy does, `proof` does it all for one seed, `__main__` reads the options.
"""
