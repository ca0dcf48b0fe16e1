"""What was asked for, and what follows from it: typed settings, presets by behavior name, curricula."""
