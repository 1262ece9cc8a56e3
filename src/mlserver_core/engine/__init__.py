"""Loads models and answers for them; every transport calls it."""
