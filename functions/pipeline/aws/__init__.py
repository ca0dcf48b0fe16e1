"""The only place that calls boto3. Every function takes what it needs and raises errors of `pipeline.errors`."""
