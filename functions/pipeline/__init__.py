"""The pipeline behind the Lambda functions: contracts, rules and access to AWS."""
