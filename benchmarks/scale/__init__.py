"""How far one stack goes, on paper: quotas, arithmetic, and runs played on a virtual clock. `make scale`."""
