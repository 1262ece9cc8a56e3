"""Code around every inference."""
