"""The command `pystack`. It needs the extra `cli` (click); each subcommand is imported when it is used."""
