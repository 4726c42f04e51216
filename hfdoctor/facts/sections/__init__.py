"""The sections of a Snapshot: plain typed data, one module a section, nothing that touches the machine."""
