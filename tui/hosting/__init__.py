"""The workstation served by the bastion: one process a session, forked from a host that has imported everything."""
