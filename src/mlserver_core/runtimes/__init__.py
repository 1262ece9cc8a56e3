"""The runtimes that need no package of their own."""
