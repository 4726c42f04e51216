"""The catalogue of conditions: each a pure function of a snapshot, with its words and its page."""
