"""apply and export: the declared state, changed and shown on the bastion's own machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bastion.access.declared import NotApplicable, StateMoved
from bastion.api import messages as m
from bastion.api.methods import ApplyRequest
from bastion.api.refusals import Refused

from .parts import Parts


async def apply_state(parts: Parts, by: str, source: str, request: ApplyRequest) -> m.Applied:
    """Brings the documents about, all or nothing. Raises Refused (`not-applicable`) naming what is not in order."""
    try:
        plan = await parts.access.apply(
            request.documents,
            base=Path(request.base),
            environment=request.environment,
            by=by,
            source=source,
            prune=request.prune,
            dry=request.dry,
        )
    except (NotApplicable, StateMoved) as error:
        raise Refused("not-applicable", detail=str(error)) from error
    return m.Applied(changes=plan.changes, warnings=plan.warnings, dry=request.dry)


async def export_state(parts: Parts) -> dict[str, Any]:
    """The declared state as a document, without secrets."""
    return await parts.access.export()
