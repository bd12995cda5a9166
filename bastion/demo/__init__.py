"""`casemate demo`: a bastion with sample databases on this machine, to look around, or for a check without a screen."""

from .demo import run

__all__ = ["run"]
