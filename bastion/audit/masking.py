"""Results without their values: what an auditor sees until they give a reason. What is masked is not sent."""

from __future__ import annotations

from bastion.api import messages as m


def masked_value(value: str | None, kind: str) -> str | None:
    """`<text:12>`: the type and how many characters there are; NULL stays NULL."""
    return None if value is None else f"<{kind or 'value'}:{len(value)}>"


def mask(answer: m.StatementResult) -> m.StatementResult:
    """Takes the values out of what a database returned, and out of what a client streamed in; the same answer.

    Names and types of columns, counts, tags and the errors, which the record has anyway, stay.
    """
    for result in answer.results:
        kinds = [column.type for column in result.columns]
        for number, row in enumerate(result.rows):
            of_row = kinds if len(kinds) == len(row) else [""] * len(row)
            result.rows[number] = [masked_value(value, kind) for value, kind in zip(row, of_row, strict=True)]
    for said in answer.said:
        said.message = f"<notice:{len(said.message)}>"
    if answer.sent is not None:
        answer.sent.data, answer.sent.form = "", "masked"
    answer.masked = True
    return answer
