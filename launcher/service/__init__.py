"""The launcher's service: the one process that owns what runs on this machine."""
