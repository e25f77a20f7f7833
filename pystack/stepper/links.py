"""The addresses of the rules that events name: RFCs by section, drafts, manual pages."""

import re

_SECTION = r"(?:[ ,]+(?:section )?(\d+(?:\.\d+)*|[A-Z](?:\.\d+)*))?\b"
_RFC = re.compile(r"RFC (\d+)" + _SECTION)
_DRAFT = re.compile(r"(draft-[a-z0-9-]+)" + _SECTION)
_MANUAL = re.compile(r"(Linux|FreeBSD) ([a-z0-9_]+)\((\d)\)")
#: settings of Linux that rules are named after
_SYSCTL = ("tcp_fin_timeout", "tcp_max_tw_buckets", "tcp_abort_on_overflow")
#: RFCs whose rules have numbers like those of subsections: "RFC 6298 5.4" is rule (5.4) of section 5
WITH_RULES = ("6298",)


def link(rule: str) -> str:
    """Return the address of a rule as events name it: "RFC 6298 5.4", "Linux tcp(7) TCP_CORK".

    It is "" for a rule that names a function of a kernel.
    """
    if found := _RFC.match(rule):
        section = found[2].partition(".")[0] if found[2] and found[1] in WITH_RULES else found[2]
        return f"https://www.rfc-editor.org/rfc/rfc{found[1]}{_anchor(section)}"
    if found := _DRAFT.match(rule):
        return f"https://datatracker.ietf.org/doc/html/{found[1]}{_anchor(found[2])}"
    if found := _MANUAL.match(rule):
        system, page, section = found.groups()
        if system == "Linux":
            return f"https://man7.org/linux/man-pages/man{section}/{page}.{section}.html"
        return f"https://man.freebsd.org/cgi/man.cgi?query={page}&sektion={section}"
    if rule.removeprefix("Linux ") in _SYSCTL:
        return "https://docs.kernel.org/networking/ip-sysctl.html"
    return ""


def _anchor(section: "str | None") -> str:
    if section is None:
        return ""
    return f"#{'section' if section[0].isdigit() else 'appendix'}-{section}"
