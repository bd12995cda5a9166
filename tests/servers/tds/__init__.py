"""A SQL Server for tests: TDS 7.1 to 7.4 and 8.0 on the wire, Transact-SQL answered from SQLite behind it.

No SQL Server can be had on a build machine. This one was written from Microsoft's open specifications [MS-TDS] and
[MC-SMP] alone, shares no code with what it is used to test, and is itself tested with SQL Server's own client programs.
"""
