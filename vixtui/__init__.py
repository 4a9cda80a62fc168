"""Train an image classifier that fits the machine at hand."""

__version__ = "0.1.0"
