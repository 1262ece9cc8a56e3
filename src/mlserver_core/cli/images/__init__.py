"""Images of containers: what a folder asks for, its Dockerfile, and the tools that build it."""
