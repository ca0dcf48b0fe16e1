"""Deploying into an AWS account: `python -m deploy`.

    bootstrap stack ─▶ preflight ─▶ images to ECR ─▶ sam build ─▶ sam deploy ─▶ smoke test

`bootstrap.yaml` is what an administrator makes once for each stage; the rest needs the rights of its MayDeploy only.
"""
