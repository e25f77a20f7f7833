"""A handout as PDF, by WeasyPrint: with a title, a language, bookmarks from the headings, and tags for readers that read aloud."""


def pdf(text: str) -> bytes:
    """Return a handout's HTML as PDF. LabError if WeasyPrint or a library that it needs is missing."""
    from pystack.labs.folders import LabError

    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except ImportError:
        raise LabError("a PDF needs WeasyPrint: pip install 'pystack[handout]'") from None
    except OSError as error:  # Pango is no Python package
        raise LabError(f"a PDF needs Pango, which the Debian package libpangoft2-1.0-0 has: {error}") from None
    # A handout has everything inside.
    fetcher = URLFetcher(allowed_protocols=["data"], fail_on_errors=True)
    found: bytes = HTML(string=text, url_fetcher=fetcher).write_pdf(pdf_tags=True)
    return found
