"""PBX adapters: their words outside, ours inside."""
