"""A SageMaker of one machine: the real API over HTTP, jobs and endpoints as processes or in containers.

Start reading at `service.py`. A boto3 client with `endpoint_url` cannot tell it from SageMaker; whatever it does not do
yet it refuses by name, as "not implemented by the local service".

| module | what |
|---|---|
| `service` | puts everything together; start, stop |
| `server`, `control_plane`, `runtime` | HTTP; the JSON 1.1 operations; InvokeEndpoint |
| `validation`, `errors`, `listing` | requests against botocore's model; errors as AWS words them; List* |
| `training_api`, `models_api`, `endpoints_api`, `tags_api`, `autoscaling_api` | the operations of one resource |
| `training_rules` | what CreateTrainingJob checks beyond the model, and what of it is not here |
| `training_run`, `job_hosts`, `job_folder`, `checkpoints` | the life of one training job; its hosts; their folders |
| `endpoint_life`, `traffic`, `alarms` | the life of one endpoint: blue/green, step by step, with rollback |
| `fleet`, `deployment`, `upstream` | its instances; one instance's process; connections to it |
| `containers`, `process_containers`, `engine_containers` | how a container is started: as a process, or by an engine |
| `processes`, `supervisor` | processes that cannot outlive the service, with or without a network |
| `clock`, `faults`, `rates`, `admin` | scaled time; the fault plan; throttling; routes that set clock and plan |
| `objects`, `logs`, `metrics` | what goes to the emulator: S3, CloudWatch Logs, CloudWatch |
| `resources`, `store` | what is remembered, and where |
"""
