"""The parts of scripts/smoke_matrix.py.

``pairs`` says which versions are tried, ``environments`` finds Pythons and makes environments with uv, ``trial`` runs
``hfdoctor smoke`` in one and keeps what it said, ``table`` writes that down.
"""
