"""Running a frozen network: one protocol and a backend each."""
