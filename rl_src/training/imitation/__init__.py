"""Learning from recordings: the `.demo` reader and behavioral cloning."""
