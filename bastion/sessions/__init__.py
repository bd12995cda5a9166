"""A live database session: opening it, its data path, the registry of what is live, ending and cancelling.

`opening` runs a session from the tunnel's first moment to its last record, `login` drives the two-legged login,
`relay` is the data path, `record` turns what passes into the journal's records, `registry` knows what is live.
"""
