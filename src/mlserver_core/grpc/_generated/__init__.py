"""Written by ``tox -e protos`` from the files in ``protos/``; do not edit."""
