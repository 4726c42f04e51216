"""One Report in, one format out: one module a format."""
