"""Builds the tables of hfdoctor/knowledge that are measured from published wheels."""
