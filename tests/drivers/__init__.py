"""Test suites of other projects' drivers, run against the test servers, and through the bastion."""
