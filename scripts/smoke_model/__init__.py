"""What scripts/make_smoke_model.py makes the tiny models of."""
