"""A live database session: opening it, its data path, the registry of what is live, ending and cancelling.

`registry` knows what is live and opens sessions, `life` runs one from the dial to its last record, `login` drives the
two-legged login, `relay` is the data path, `record` turns what passes into the journal's records.
"""
