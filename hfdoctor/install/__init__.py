"""What an install needs and brings: the choice of torch's build, so far."""
