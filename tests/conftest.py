"""What all groups of tests share: the fixtures of a running Gantry, which starts when the first test asks for it."""

pytest_plugins = ["support.system"]
