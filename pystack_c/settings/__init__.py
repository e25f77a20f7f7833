"""The declarations of the settings: by mechanism, those that a user sets apart from quirks (docs/reference/settings.md)."""
