"""State: the tables (`schema`), how they come about (`migrations/`), and the one way to them (`store`)."""
