"""Who may do what: identity, grants, tokens, policies, settings, and the declared state. `door.Access` is its face."""
