"""The kinds of actions, one module each."""
