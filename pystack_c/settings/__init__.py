"""The declarations of the settings by mechanism, with quirks apart from the settings for users (docs/reference/settings.md)."""
