"""What each state does: the Lambda of the state parses, calls one function of this folder, and maps its answer.

- `admission`: AdmitRun
- `building`: InspectBuild
- `jobs`: StartTraining, CheckTraining, StartEvaluation, CheckEvaluation
- `artifacts`: ExtractCheckpoint
- `promotion`: DecidePromotion
- `deployment`: DeployEndpoint, CheckEndpoint
- `verification`: VerifyEndpoint
- `finishing`: FinishRun
"""
