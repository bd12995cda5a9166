"""Database protocols, sans-IO: bytes in, messages out.

One package a protocol, each with the same file names. Nothing in here opens a socket, reads a clock or knows the
rest of Casemate; `contract` is what a package gives to the relay.
"""
