"""What the screens stand on: the control client, the tunnel, the drivers of the databases."""
