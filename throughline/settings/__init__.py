"""What an operator or a trainer may set, read from YAML and checked: every fault at once, with file, line and mend."""
