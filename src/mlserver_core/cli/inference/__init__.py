"""The parts of ``mlserver infer``: a file of requests in, a file of answers out."""
