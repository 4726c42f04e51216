"""What scripts/bootstrap.py does, standard library only.

``entry`` decides what is wanted and starts it; ``environments`` says whether a folder can be reused and makes it
when not; ``installers`` are uv and pip; ``failures`` turns their output into one line.
"""
