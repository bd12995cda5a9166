"""Completeness cases: what a client does, and exactly what must then be on record (docs/auditors/completeness.md)."""
