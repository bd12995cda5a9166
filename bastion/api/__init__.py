"""The control API: what the workstation, the command line and the gateway say to each other.

`messages` are the shapes, `methods` the table of calls, `rpc` the framing, `refusals` the reasons for a no.
Imports nothing else of ours.
"""
