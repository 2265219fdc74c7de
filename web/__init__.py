"""A page for people and a server for programs, on one queue of jobs:  python -m web [--api]."""
