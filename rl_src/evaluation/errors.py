"""What ends an evaluation besides the build's own failures (`rl_src.envs.errors`)."""


class EvaluationError(Exception):
    """`cause` is for a game developer; `remedy` says what to do; `code` is stable."""

    def __init__(self, cause: str, remedy: str, code: str = "EvaluationFailed") -> None:
        self.cause = cause
        self.remedy = remedy
        self.code = code
        super().__init__(f"{cause} Remedy: {remedy}")
