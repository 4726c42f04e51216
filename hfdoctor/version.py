"""The one place where the version of hfdoctor is written."""

__version__ = "0.1.0"
