"""The changes. A published one is never edited: a further one is added."""
