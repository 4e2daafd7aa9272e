"""A DLMS meter on a serial line: for commissioning, training, the demo and the tests. `meter-emulator FILE` runs it."""
