"""A server that speaks enough of Oracle Net and TTC for thin drivers, and answers from SQLite.

It shares no code with the bastion's engine, and is proved by drivers that connect to it directly.
"""
