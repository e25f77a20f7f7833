"""The declarations of the settings by mechanism, with the quirks apart (docs/reference/settings.md)."""
