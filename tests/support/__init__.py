"""Parts that several groups of tests share."""
