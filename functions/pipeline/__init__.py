"""The pipeline behind the Lambda functions: contracts, rules and access to AWS."""

__version__ = "0.1.0"
