"""The only place that calls AWS. Every function takes what it needs and raises errors of `pipeline.errors`."""
