"""One module a family: `run(case, folder) -> Outcome`."""
