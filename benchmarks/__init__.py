"""Commands that measure. Each prints a table; figures from this machine are ratios in one run, never a test's assertion."""
