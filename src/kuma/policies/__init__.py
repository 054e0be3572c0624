"""Floor 4: the targetRef policies, one folder each, discovered once by wiring."""
