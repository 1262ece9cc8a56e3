"""How cost grows: what ``benchmarks/growth.py`` measures and draws."""
