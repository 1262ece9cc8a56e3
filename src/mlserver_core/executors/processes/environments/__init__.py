"""Environments of models: archives are unpacked, and their Python is looked at before it runs."""
