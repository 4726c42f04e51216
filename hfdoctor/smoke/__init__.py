"""Runs the real libraries of the target, stage by stage, in a child process, and tells what happened."""
