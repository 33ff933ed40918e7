"""One module or package per protocol: ``driver: NAME`` loads ``drivers.NAME.DRIVER``."""
