"""SQL Server's protocol: Tabular Data Stream, 7.1 to 7.4 and 8.0 ([MS-TDS])."""
