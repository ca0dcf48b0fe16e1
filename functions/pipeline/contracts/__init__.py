"""Pydantic models of every JSON document that crosses a border.

Where to look:

- `request`: what a user asks for (`TrainingRequest`), from the API or from inside the zip
- `states`: what the state machine passes from one Lambda to the next
- `run`: the run record, kept in DynamoDB and answered by `GET /training-runs/{run_id}`
- `build`: what inspection found in the zip
- `job`: the part of the request that a training or evaluation job gets, and its hyperparameter encoding
- `policy`: what a policy observes and does; the manifest of its artifact
- `evaluation`: the evaluation report and the recorded pairs that verify an endpoint
- `predict`: the predict API and what is sent to the endpoint
- `constants`: what of them is needed without pydantic
- `problem`: the body of every error answer
- `validation`: reading a document with errors that name the field and the nearest valid name
"""
