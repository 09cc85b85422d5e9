"""The conformance kit: what a live PBX really does of what its adapter promises, seen on calls to one's own phones."""
