"""The bastion: the gateway in front of the databases. It runs without a screen."""

__version__ = "0.1.0"
