"""What the screens are made of; knows nothing of runs."""
