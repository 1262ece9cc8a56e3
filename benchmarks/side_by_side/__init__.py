"""Our server and its peers, measured beside each other with the same models and the same load."""
