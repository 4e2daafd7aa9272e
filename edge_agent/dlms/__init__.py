"""DLMS/COSEM (IEC 62056, Green and Blue Book) without I/O: codecs, links and conversations that only pass bytes.

Nothing here opens a port or looks at a clock. A transport (edge_agent.meters.transport) carries the bytes that a link
gives, and feeds back those that arrive. The package keeps to what MicroPython has.
"""
