"""PostgreSQL's protocol, version 3 (its manual, "Frontend/Backend Protocol"). In it, the client is the frontend."""

from collections.abc import Callable

from pystack.stepper.dissect import layout as t
from pystack.stepper.dissect.messages.base import Bad, FieldReader, StreamMessage, StreamParser, StreamPiece, words
from pystack.stepper.dissect.tree import Node

SSL, GSS, CANCEL = 80877103, 80877104, 80877102
REQUESTS = {SSL: "SSLRequest", GSS: "GSSENCRequest", CANCEL: "CancelRequest"}
#: no message is larger (PostgreSQL's own limit), and no startup message
MOST, MOST_STARTUP = 1 << 30, 10_000
FRONTEND = {
    "Q": "Query", "P": "Parse", "B": "Bind", "E": "Execute", "D": "Describe", "C": "Close", "S": "Sync", "H": "Flush",
    "X": "Terminate", "p": "PasswordMessage", "F": "FunctionCall", "d": "CopyData", "c": "CopyDone", "f": "CopyFail",
}  # fmt: skip
BACKEND = {
    "R": "Authentication", "S": "ParameterStatus", "K": "BackendKeyData", "Z": "ReadyForQuery", "T": "RowDescription",
    "D": "DataRow", "C": "CommandComplete", "E": "ErrorResponse", "N": "NoticeResponse", "1": "ParseComplete",
    "2": "BindComplete", "3": "CloseComplete", "n": "NoData", "s": "PortalSuspended", "t": "ParameterDescription",
    "I": "EmptyQueryResponse", "A": "NotificationResponse", "G": "CopyInResponse", "H": "CopyOutResponse",
    "W": "CopyBothResponse", "d": "CopyData", "c": "CopyDone", "V": "FunctionCallResponse", "v": "NegotiateProtocolVersion",
}  # fmt: skip
AUTH = {
    0: "Ok", 2: "KerberosV5", 3: "CleartextPassword", 5: "MD5Password", 6: "SCMCredential", 7: "GSS",
    8: "GSSContinue", 9: "SSPI", 10: "SASL", 11: "SASLContinue", 12: "SASLFinal",
}  # fmt: skip
STATUS = {"I": "idle", "T": "in a transaction", "E": "in a failed transaction"}
#: the fields of errors and notices
ERROR = {
    "S": ("pgsql.severity", "Severity"), "V": ("pgsql.text", "Severity, not translated"), "C": ("pgsql.code", "Code"),
    "M": ("pgsql.message", "Message"), "D": ("pgsql.detail", "Detail"), "H": ("pgsql.hint", "Hint"),
    "P": ("pgsql.position", "Position"), "p": ("pgsql.internal_position", "Internal position"),
    "q": ("pgsql.internal_query", "Internal query"), "W": ("pgsql.where", "Context"), "s": ("pgsql.schema_name", "Schema"),
    "t": ("pgsql.table_name", "Table"), "c": ("pgsql.column_name", "Column"), "d": ("pgsql.type_name", "Type"),
    "n": ("pgsql.constraint_name", "Constraint"), "F": ("pgsql.file", "File"), "L": ("pgsql.line", "Line"),
    "R": ("pgsql.routine", "Routine"),
}  # fmt: skip
#: the most columns that become fields
MOST_COLUMNS = 30
NULL = -1


class Postgres(StreamParser):
    """A connection of PostgreSQL. With `startup`, it begins here."""

    protocol, title = "pgsql", "PostgreSQL"

    def __init__(self, client: int = 0, startup: bool = True, secure: Callable[[int], StreamParser] | None = None):
        """`secure` makes the parser of TLS for the way of the client, after the server has agreed to it."""
        super().__init__(client)
        self.secure = secure
        self.startup = startup  # the next message of the client has no type
        self.asked = 0  # the request that the server answers with one byte
        self.auth = 0  # the last request for a password
        self.hidden = False  # everything from here on is encrypted

    def size(self, way: int, data: bytearray) -> int:
        """Return the size of a message."""
        if self.hidden:
            return len(data)
        if way != self.client and self.asked and data[:1] in (b"S", b"N", b"G"):
            return 1
        at = 0 if way == self.client and self.startup else 1
        if at:
            names = FRONTEND if way == self.client else BACKEND
            if chr(data[0]) not in names:
                raise Bad(f"no message has the type {data[0]:#04x}")
        if len(data) < at + 4:
            return 0
        length = int.from_bytes(data[at : at + 4], "big")
        if not 4 <= length <= MOST or (not at and not 8 <= length <= MOST_STARTUP):
            raise Bad(f"a length of {length} bytes")
        return at + length

    def read(self, piece: StreamPiece) -> list[StreamMessage]:
        """Return the message of a piece."""
        if self.hidden:
            return []
        fields = FieldReader(piece.data)
        if piece.way != self.client and self.asked and piece.size == 1:
            return [piece.message(self.protocol, self.title, self._answer(piece.data, fields), fields.nodes)]
        if piece.way == self.client and self.startup:
            return [piece.message(self.protocol, self.title, self._startup(fields), fields.nodes)]
        letter = chr(piece.data[0])
        front = piece.way == self.client
        name = (FRONTEND if front else BACKEND)[letter]
        if front and letter == "p":
            name = {10: "SASLInitialResponse", 11: "SASLResponse", 7: "GSSResponse", 8: "GSSResponse"}.get(
                self.auth, name
            )
        fields.raw(1, "pgsql.type", "Type", f"{name} ({letter})")
        fields.number(4, "pgsql.length", "Length", "with this field, without the type")
        said = (_front if front else self._back)(letter, name, fields)
        if front and letter == "p":
            said = self._password(name, fields)
        if fields.short and piece.size == len(piece.data):
            said = "malformed"
        elif fields.left:
            fields.rest("" if letter != "d" else "pgsql.copydata")
        if letter == "R" and not front:
            name, said = f"{name}{said}", ""
        return [piece.message(self.protocol, self.title, f"{name}: {said}" if said else name, fields.nodes)]

    def _answer(self, data: bytes, fields: FieldReader) -> str:
        abbrev = "pgsql.ssl_response" if self.asked == SSL else "pgsql.gssenc_response"
        what = "TLS" if self.asked == SSL else "encryption by GSSAPI"
        yes = data != b"N"
        fields.raw(1, abbrev, "Answer", chr(data[0]), f"{what} follows" if yes else f"no {what}")
        asked, self.asked = self.asked, 0
        if not yes:
            return f"no {what}"
        if asked == SSL and self.secure is not None:
            self.becomes = self.secure(self.client)
        self.hidden = True
        return f"{what} begins, so the messages after it are encrypted"

    def _startup(self, fields: FieldReader) -> str:
        fields.number(4, "pgsql.length", "Length", "with this field")
        code = int.from_bytes(fields.data[4:8], "big")
        if code in REQUESTS:
            fields.number(4, "pgsql.request_code", "Request code", REQUESTS[code])
            if code == CANCEL:
                fields.number(4, "pgsql.pid", "Process")
                fields.rest("pgsql.key", "Key")
            else:
                self.asked = code
            return REQUESTS[code]
        major = fields.number(2, "pgsql.version_major", "Protocol major version")
        minor = fields.number(2, "pgsql.version_minor", "Protocol minor version")
        self.startup = False
        known: dict[str, str] = {}
        while fields.left > 1 and not fields.short and len(known) < 50:
            name = fields.cstring("pgsql.parameter_name", "Parameter name")
            known[name] = fields.cstring("pgsql.parameter_value", "Parameter value")
        fields.rest("", "End of the parameters")
        said = ", ".join(f"{name} {known[name]}" for name in ("user", "database") if name in known)
        return f"StartupMessage: version {major}.{minor}" + (f", {said}" if said else "")

    def _password(self, name: str, fields: FieldReader) -> str:
        if name == "PasswordMessage":
            fields.cstring("pgsql.password", "Password")
        elif name == "SASLInitialResponse":
            mechanism = fields.cstring("pgsql.auth.sasl.mech", "SASL mechanism")
            fields.number(4, "pgsql.auth.sasl.data.length", "SASL data length", signed=True)
            fields.rest("pgsql.auth.sasl.data", "SASL data")
            return mechanism
        elif name == "SASLResponse":
            fields.rest("pgsql.auth.sasl.data", "SASL data")
        else:
            fields.rest("pgsql.auth.gssapi_sspi.data", "GSSAPI data")
        return ""

    def _back(self, letter: str, name: str, fields: FieldReader) -> str:
        """Read a message of the server. Return what it says."""
        if letter == "R":
            return self._authentication(fields)
        if letter == "Z":
            status = chr(fields.data[fields.at]) if fields.left else ""
            fields.raw(1, "pgsql.status", "Status", f"{STATUS.get(status, 'unknown')} ({words(status.encode())})")
            return STATUS.get(status, "unknown status")
        if letter in "EN":
            return _error(fields)
        if letter == "S":
            key = fields.cstring("pgsql.parameter_name", "Parameter name")
            return f"{key} = {fields.cstring('pgsql.parameter_value', 'Parameter value')}"
        if letter == "K":
            pid = fields.number(4, "pgsql.pid", "Process")
            fields.raw(fields.left, "pgsql.key", "Key")
            return f"process {pid}"
        if letter == "C":
            return fields.cstring("pgsql.tag", "Tag")
        if letter == "T":
            return _description(fields)
        if letter == "D":
            return _row(fields)
        if letter == "t":
            return f"{_types(fields)} parameters"
        if letter in "GHW":
            fields.number(1, "pgsql.format", "Format", "0: text, 1: binary")
            count = fields.number(2, "", "Column count")
            for _ in range(min(count, MOST_COLUMNS)):
                fields.number(2, "", "Format of the column")
            return f"{count} columns"
        if letter == "A":
            fields.number(4, "pgsql.pid", "Process")
            channel = fields.cstring("pgsql.condition", "Channel")
            return f"{channel} {fields.cstring('pgsql.text', 'Payload')}".rstrip()
        return ""

    def _authentication(self, fields: FieldReader) -> str:
        self.auth = fields.number(4, "pgsql.authtype", "Authentication type")
        name = AUTH.get(self.auth, f" of the unknown type {self.auth}")
        fields.say(name)
        if self.auth == 5:
            fields.raw(4, "pgsql.salt", "Salt")
        elif self.auth == 10:
            while fields.left > 1 and not fields.short and len(fields.nodes) < 20:
                fields.cstring("pgsql.auth.sasl.mech", "SASL mechanism")
            fields.rest("", "End of the list")
        elif self.auth in (11, 12):
            fields.rest("pgsql.auth.sasl.data", "SASL data")
        elif self.auth == 8:
            fields.rest("pgsql.auth.gssapi_sspi.data", "GSSAPI data")
        return name


def _front(letter: str, name: str, fields: FieldReader) -> str:
    """Read a message of the client, but not an answer to a request for a password. Return what it says."""
    if letter == "Q":
        return fields.cstring("pgsql.query", "Query")
    if letter == "P":
        statement = fields.cstring("pgsql.statement", "Statement")
        query = fields.cstring("pgsql.query", "Query")
        _types(fields)
        return f"{statement + ' ' if statement else ''}{query}"
    if letter == "B":
        return _bind(fields)
    if letter == "E":
        portal = fields.cstring("pgsql.portal", "Portal")
        rows = fields.number(4, "pgsql.returns", "Returns", "the most rows; 0: all")
        return f"{portal} at most {rows} rows".strip() if rows else portal
    if letter in "DC":
        kind = fields.raw(1, "", "Kind", "portal" if fields.data[fields.at : fields.at + 1] == b"P" else "statement")
        portal_too = kind == b"P"
        text = fields.cstring(*(("pgsql.portal", "Portal") if portal_too else ("pgsql.statement", "Statement")))
        return f"{'portal' if portal_too else 'statement'} {text}".rstrip()
    if letter == "f":
        return fields.cstring("pgsql.error", "Error")
    return ""


def _types(fields: FieldReader) -> int:
    """Read the types of parameters. Return their number."""
    count = fields.number(2, "", "Parameter count")
    for _ in range(min(count, MOST_COLUMNS)):
        fields.number(4, "pgsql.oid.type", "Type OID")
    return count


def _bind(fields: FieldReader) -> str:
    portal = fields.cstring("pgsql.portal", "Portal")
    statement = fields.cstring("pgsql.statement", "Statement")
    for _ in range(min(fields.number(2, "", "Format count"), MOST_COLUMNS)):
        fields.number(2, "pgsql.format", "Format")
    count = fields.number(2, "", "Parameter count")
    shown = _values(fields, count)
    for _ in range(min(fields.number(2, "", "Result format count"), MOST_COLUMNS)):
        fields.number(2, "pgsql.format", "Format")
    head = " ".join(part for part in (statement, portal) if part)
    return f"{head} ({', '.join(shown)})".strip()


def _values(fields: FieldReader, count: int) -> list[str]:
    """Read values with their lengths. Return the first ones as text."""
    shown: list[str] = []
    for number in range(min(count, MOST_COLUMNS)):
        length = fields.number(4, "pgsql.val.length", "Column length", signed=True)
        if fields.short:
            break
        text = "NULL"
        if length == NULL:
            fields.say("NULL")
        elif length < 0 or length > fields.left:
            fields.nodes.append(t.wrong(f"a value of {length} bytes", fields.at - 4, fields.at))
            fields.short = True
            break
        else:
            text = _value(fields.data[fields.at : fields.at + length])
            if length:
                fields.raw(length, "pgsql.val.data", "Data", text)
        if number < 6:
            shown.append(text)
    if count > len(shown) and not fields.short:
        shown.append("...")
    return shown


def _value(piece: bytes) -> str:
    """Return a value as text, or in hex if its form is binary."""
    text = words(piece, 30)
    return f"0x{piece[:16].hex()}{'...' if len(piece) > 16 else ''}" if "·" in text else text


def _row(fields: FieldReader) -> str:
    return ", ".join(_values(fields, fields.number(2, "pgsql.field.count", "Field count")))


def _description(fields: FieldReader) -> str:
    count = fields.number(2, "pgsql.field.count", "Field count")
    names: list[str] = []
    for _ in range(min(count, MOST_COLUMNS)):
        if fields.short:
            break
        start, first = fields.at, len(fields.nodes)
        name = fields.cstring("pgsql.col.name", "Column name")
        fields.number(4, "pgsql.oid.table", "Table OID")
        fields.number(2, "pgsql.col.index", "Column index")
        fields.number(4, "pgsql.oid.type", "Type OID")
        fields.number(2, "pgsql.val.length", "Column length", signed=True)
        fields.number(4, "pgsql.col.typemod", "Type modifier", signed=True)
        fields.number(2, "pgsql.format", "Format")
        if fields.short:
            break
        fields.group("Column", "", start, first, name)
        names.append(name)
    return ", ".join(names[:8]) + (", ..." if count > min(len(names), 8) else "")


def _error(fields: FieldReader) -> str:
    found: dict[str, str] = {}
    while fields.left > 1 and len(found) < 30 and not fields.short:
        letter = chr(fields.data[fields.at])
        abbrev, name = ERROR.get(letter, ("", f"Field {letter!a}"))
        stop = fields.data.find(0, fields.at + 1, fields.end)
        if stop < 0:
            fields.cut(name)
            break
        text = words(fields.data[fields.at + 1 : stop])
        place = fields.at * 8, (stop + 1 - fields.at) * 8
        fields.nodes.append(Node(name, abbrev, *place, fields.data[fields.at : stop + 1], text))
        fields.at = stop + 1
        found[letter] = text
    fields.rest("", "End of the fields")
    return " ".join(part for part in (found.get("S"), found.get("C"), found.get("M")) if part)
