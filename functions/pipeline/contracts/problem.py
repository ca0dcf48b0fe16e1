"""The body of every error answer: problem details, RFC 9457 (`application/problem+json`)."""

from pydantic import BaseModel, ConfigDict


class FieldProblem(BaseModel):
    """One field that is wrong: its dotted path ("" for the document itself) and what would be right."""

    model_config = ConfigDict(frozen=True)

    field: str
    message: str


class Problem(BaseModel):
    """`code` is stable and for programs; `detail` says what is wrong, `remedy` what would be right."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    remedy: str = ""
    errors: tuple[FieldProblem, ...] = ()
