// The expressions of breakpoints, watchpoints and filters, for the exported page, which has no server. They are the
// same small part of Python as in pystack/stepper/expr.py, with the same results. A test compares the two over a list
// of expressions.
import { FIELDS_OF_EVENT, FIELDS_OF_FRAME, type Scope } from "./scope";

export class ExpressionError extends Error {}
/** Something that the expression names does not exist at this event, so the expression has no value. */
export class Missing extends Error {}
/** The types of two values do not go together, so the expression has no value. */
export class TypeMismatch extends Error {}
/** Another problem with the values, such as division by zero or an index beyond the end. */
export class ValueProblem extends Error {}

/** A kind of event. It equals its full name and the part after the dot. */
export class Kind {
  constructor(readonly text: string) {}
}

type Node = (scope: Scope) => any;
interface Token {
  kind: "number" | "string" | "name" | "sign" | "end";
  text: string;
  value?: any;
  at: number;
}

const STATES = [
  "CLOSED", "LISTEN", "SYN_SENT", "SYN_RECEIVED", "ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING",
  "LAST_ACK", "TIME_WAIT",
];
const UNITS: Record<string, number> = { us: 1e3, ms: 1e6, s: 1e9 };
const FUNCTIONS = ["len", "min", "max", "abs", "any", "all", "int"];
const MOMENTARY = ["event", "frame", "time", "host", "kind"];
const LASTING = ["tcb", "state", "conn"];
const KEYWORDS = new Set(["and", "or", "not", "in", "is", "if", "else", "lambda", "for", "await", "yield", "None", "True", "False"]);
const SIGNS = /^(?:\/\/|\*\*|<<|>>|<=|>=|==|!=|:=|[-+*/%&|^~<>()[\]{}.,:@=;!])/;
const MAX_LENGTH = 1000;
const MAX_NUMBER = 1e30;
/** How deeply Python's own parser nests brackets. */
const MAX_DEPTH = 200;

function tokens(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const rest = text.slice(at);
    let match;
    if ((match = rest.match(/^[ \t\f]+/))) {
      // white space
    } else if ((match = rest.match(/^(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|\d[\d_]*(?:\.[\d_]*)?(?:[eE][-+]?\d+)?|\.\d[\d_]*(?:[eE][-+]?\d+)?)/))) {
      if (/^\w/.test(rest.slice(match[0].length)) || /^0\d*[1-9]\d*$/.test(match[0])) throw new ExpressionError(`not a number (column ${at + 1})`);
      found.push({ kind: "number", text: match[0], value: Number(match[0].replaceAll("_", "")), at });
    } else if ((match = rest.match(/^(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')/))) {
      found.push({ kind: "string", text: match[0], value: unescape(match[0].slice(1, -1)), at });
    } else if ((match = rest.match(/^[\p{L}_][\p{L}\p{N}_]*/u))) {
      found.push({ kind: "name", text: match[0], at });
    } else if ((match = rest.match(SIGNS))) {
      found.push({ kind: "sign", text: match[0], at });
    } else {
      throw new ExpressionError(`not an expression (column ${at + 1})`);
    }
    at += match[0].length;
  }
  found.push({ kind: "end", text: "the end", at: text.length });
  return found;
}

function unescape(text: string): string {
  const plain: Record<string, string> = { n: "\n", t: "\t", r: "\r", "\\": "\\", "'": "'", '"': '"' };
  return text.replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)/g, (whole, code: string) =>
    code.length > 1 ? String.fromCharCode(parseInt(code.slice(1), 16)) : (plain[code] ?? whole),
  );
}

/** A compiled expression. `momentary` is true if it refers to the event itself, not only to the state that stays. */
export class Expression {
  momentary = false;
  private readonly list: Token[];
  private place = 0;
  private depth = 0;
  private readonly root: Node;

  constructor(
    readonly text: string,
    private readonly hosts: string[],
    private readonly fields: string[],
  ) {
    if (text.length > MAX_LENGTH) throw new ExpressionError(`the expression is longer than ${MAX_LENGTH} characters`);
    this.list = tokens(text.trim());
    this.root = this.list.length === 1 ? this.fail("not an expression") : this.sequence();
    this.needEnd();
  }

  /** Return the value at an event, or null if something that it names does not exist there. */
  value(scope: Scope): any {
    try {
      return this.root(scope);
    } catch (error) {
      if (error instanceof Missing || error instanceof TypeMismatch) return null;
      throw error;
    }
  }

  /** Return the same, or null after any other problem with the values. */
  quiet(scope: Scope): any {
    try {
      return this.value(scope);
    } catch (error) {
      if (error instanceof ValueProblem) return null;
      throw error;
    }
  }

  private get token(): Token {
    return this.list[this.place];
  }

  private fail(what: string, at = this.token.at): never {
    throw new ExpressionError(`${what} (at column ${at + 1} of '${this.text.trim()}')`);
  }

  private needEnd(): void {
    if (this.token.kind !== "end") this.fail(`not an expression: ${this.token.text}`);
  }

  private take(...texts: string[]): string | null {
    const { kind, text } = this.token;
    if ((kind !== "sign" && kind !== "name") || !texts.includes(text)) return null;
    this.place++;
    return text;
  }

  private need(text: string): void {
    if (!this.take(text)) this.fail(`'${text}' expected, not ${this.token.text}`);
  }

  /** Parse a, b, c without brackets as a tuple. */
  private sequence(): Node {
    const first = this.conditional();
    if (this.token.text !== "," || this.token.kind !== "sign") return first;
    const items = [first];
    while (this.take(",")) {
      if (this.list[this.place].kind === "end") break;
      items.push(this.conditional());
    }
    return (scope) => items.map((item) => item(scope));
  }

  private conditional(): Node {
    if (++this.depth > MAX_DEPTH) this.fail("the expression is nested too deeply");
    const body = this.or();
    let made = body;
    if (this.take("if")) {
      const test = this.or();
      this.need("else");
      const other = this.conditional();
      made = (scope) => (truth(test(scope)) ? body(scope) : other(scope));
    }
    this.depth--;
    return made;
  }

  private or(): Node {
    return this.joined("or", () => this.joined("and", () => this.not(), false), true);
  }

  private joined(word: string, part: () => Node, wanted: boolean): Node {
    const parts = [part()];
    while (this.take(word)) parts.push(part());
    if (parts.length === 1) return parts[0];
    return (scope) => {
      let result: any = null;
      for (const one of parts) {
        try {
          result = one(scope);
        } catch (error) {
          if (!(error instanceof Missing || error instanceof TypeMismatch)) throw error;
          result = null;
        }
        if (truth(result) === wanted) return result;
      }
      return result;
    };
  }

  private not(): Node {
    let count = 0;
    while (this.take("not")) count++;
    const inner = this.comparison();
    if (!count) return inner;
    return (scope) => (count % 2 ? !truth(inner(scope)) : truth(inner(scope)));
  }

  private operator(): string | null {
    const plain = this.take("==", "!=", "<=", ">=", "<", ">", "in");
    if (plain) return plain;
    if (this.take("is")) return this.take("not") ? "is not" : "is";
    if (this.token.text === "not" && this.list[this.place + 1]?.text === "in") {
      this.place += 2;
      return "not in";
    }
    return null;
  }

  private comparison(): Node {
    const first = this.binary(0);
    const rest: [string, Node][] = [];
    for (let sign = this.operator(); sign; sign = this.operator()) rest.push([sign, this.binary(0)]);
    if (!rest.length) return first;
    return (scope) => {
      let left = first(scope);
      for (const [sign, other] of rest) {
        const right = other(scope);
        if (!compare(sign, left, right)) return false;
        left = right;
      }
      return true;
    };
  }

  private binary(level: number): Node {
    const signs = [["|"], ["^"], ["&"], ["<<", ">>"], ["+", "-"], ["*", "/", "//", "%", "@"]][level];
    if (!signs) return this.unary();
    let left = this.binary(level + 1);
    for (;;) {
      const at = this.token.at;
      const sign = this.take(...signs);
      if (!sign) return left;
      if (["^", "<<", ">>", "@"].includes(sign)) this.fail(`${sign} is not allowed here; there are + - * / // % & |`, at);
      const a = left;
      const b = this.binary(level + 1);
      left = (scope) => arithmetic(sign, a(scope), b(scope));
    }
  }

  private unary(): Node {
    const at = this.token.at;
    if (this.take("-")) {
      const inner = this.unary();
      return (scope) => {
        const value = inner(scope);
        if (typeof value !== "number" && typeof value !== "boolean") throw new TypeMismatch();
        return -value;
      };
    }
    if (this.take("+", "~")) this.fail("only - and not are allowed here", at);
    const made = this.postfix();
    if (this.token.text === "**") this.fail("** is not allowed here");
    return made;
  }

  private postfix(): Node {
    const start = this.token;
    // a name, or name.attribute...; some names mean nothing without an attribute
    if (start.kind === "name" && !KEYWORDS.has(start.text)) {
      this.place++;
      if (this.token.text === "(") return this.rest(this.call(start), "");
      if (this.token.text === "." && this.token.kind === "sign") {
        const [made, kind] = this.dotted(start);
        return this.rest(made, kind);
      }
      return this.rest(this.name(start), "");
    }
    return this.rest(this.atom(), "");
  }

  /** Parse subscripts and further attributes. `kind` is "dict" after .fields and .timers, whose items have names. */
  private rest(made: Node, kind: string): Node {
    for (;;) {
      const at = this.token.at;
      const inner = made;
      if (this.take("[")) {
        const key = this.sequence();
        if (this.token.text === ":") this.fail("a slice is not allowed here");
        this.need("]");
        made = (scope) => item(inner(scope), key(scope));
        kind = "";
      } else if (this.take(".")) {
        const attr = this.attribute();
        if (kind !== "dict") this.fail(`'${attr}': only event, frame, tcb, their fields and timers, and hosts may be followed by a dot`, at);
        made = (scope) => item(inner(scope), attr);
        kind = attr === "fields" || attr === "timers" ? "dict" : "";
      } else if (this.token.text === "(") {
        this.fail(`only ${FUNCTIONS.join(", ")} can be called`);
      } else {
        return made;
      }
    }
  }

  private attribute(): string {
    if (this.token.kind !== "name") this.fail("expected a name after the dot");
    const attr = this.list[this.place++].text;
    if (attr.startsWith("_")) this.fail(`'${attr}' is not allowed: it begins with an underscore`);
    return attr;
  }

  private dotted(base: Token): [Node, string] {
    this.need(".");
    const attr = this.attribute();
    const name = base.text;
    const kind = attr === "fields" || attr === "timers" ? "dict" : "";
    if (name === "tcb" || this.hosts.includes(name)) {
      if (!this.fields.includes(attr)) this.fail(`a connection has no field '${attr}'`, base.at);
      return [name === "tcb" ? (scope) => scope.tcb(attr) : (scope) => scope.ofHost(name, attr), kind];
    }
    if (name === "event") return [this.of(FIELDS_OF_EVENT, attr, base, (scope) => scope.eventField(attr)), kind];
    if (name === "frame") return [this.of(FIELDS_OF_FRAME, attr, base, (scope) => scope.frameField(attr)), kind];
    this.name(base);  // fails with a better message if there is no such name
    this.fail(`'${attr}': only event, frame, tcb, their fields and timers, and hosts may be followed by a dot`, base.at);
  }

  private of(known: string[], attr: string, base: Token, made: Node): Node {
    if (!known.includes(attr)) this.fail(`${base.text} has no '${attr}'; there are ${known.join(", ")}`, base.at);
    this.momentary = true;
    return made;
  }

  private name(token: Token): Node {
    const name = token.text;
    if (STATES.includes(name)) return () => name.replaceAll("_", "-");
    if (name in UNITS && Object.hasOwn(UNITS, name)) return () => UNITS[name];
    if (MOMENTARY.includes(name)) this.momentary = true;
    switch (name) {
      case "event":
        return (scope) => scope.event();
      case "frame":
        return (scope) => scope.frame();
      case "tcb":
        return (scope) => scope.conn() || null;
      case "state":
        return (scope) => scope.tcb("state");
      case "conn":
        return (scope) => scope.conn();
      case "time":
        return (scope) => scope.time();
      case "host":
        return (scope) => scope.eventField("host");
      case "kind":
        return (scope) => scope.eventField("kind");
    }
    if (this.hosts.includes(name)) return () => name;
    if (this.fields.includes(name)) this.fail(`no name '${name}'; the field is called tcb.${name}`, token.at);
    const known = [...MOMENTARY, ...LASTING, ...this.hosts, ...Object.keys(UNITS), ...FUNCTIONS];
    this.fail(`no name '${name}'; there are ${known.join(", ")}, and the states such as ESTABLISHED`, token.at);
  }

  private call(token: Token): Node {
    if (!FUNCTIONS.includes(token.text)) this.fail(`only ${FUNCTIONS.join(", ")} can be called`, token.at);
    this.need("(");
    const args: Node[] = [];
    while (!this.take(")")) {
      args.push(this.conditional());
      if (this.token.text === ")") continue;
      this.need(",");
    }
    return (scope) => builtin(token.text, args.map((arg) => arg(scope)));
  }

  private atom(): Node {
    const token = this.token;
    this.place++;
    if (token.kind === "number") {
      if (token.value > MAX_NUMBER && !/[.eE]/.test(token.text)) this.fail("the number is too large", token.at);
      return () => token.value;
    }
    if (token.kind === "string") {
      let value = token.value;
      while (this.token.kind === "string") value += this.list[this.place++].value;
      return () => value;
    }
    if (token.text === "None") return () => null;
    if (token.text === "True") return () => true;
    if (token.text === "False") return () => false;
    if (token.text === "(") return this.bracket(")");
    if (token.text === "[") return this.bracket("]");
    this.fail(`not an expression: ${token.text}`, token.at);
  }

  private bracket(end: string): Node {
    const items: Node[] = [];
    let comma = false;
    while (!this.take(end)) {
      items.push(this.conditional());
      if (this.token.text === end) continue;
      this.need(",");
      comma = true;
    }
    if (end === ")" && items.length === 1 && !comma) return items[0];
    return (scope) => items.map((one) => one(scope));
  }
}

/** Return Python's truth of a value. */
export function truth(value: any): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (value instanceof Kind) return value.text.length > 0;
  if (value && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) return Object.keys(value).length > 0;
  return Boolean(value);
}

function isNumber(value: any): boolean {
  return typeof value === "number" || typeof value === "boolean";
}

function text(value: any): string | null {
  if (value instanceof Kind) return value.text;
  return typeof value === "string" ? value : null;
}

function equal(a: any, b: any): boolean {
  if (isNumber(a) && isNumber(b)) return Number(a) === Number(b);
  const left = text(a);
  const right = text(b);
  if (left !== null && right !== null) {
    const behind = (one: any, other: string) => one instanceof Kind && one.text.slice(one.text.lastIndexOf(".") + 1) === other;
    return left === right || behind(a, right) || behind(b, left);
  }
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((one, i) => equal(one, b[i]));
  if (plain(a) && plain(b)) {
    const names = Object.keys(a);
    return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && equal(a[name], b[name]));
  }
  return a === b;
}

function plain(value: any): boolean {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof Kind);
}

/** Compare two values: negative, 0 or positive. */
function order(a: any, b: any): number {
  if (isNumber(a) && isNumber(b)) return Number(a) - Number(b);
  const left = text(a);
  const right = text(b);
  if (left !== null && right !== null) return left < right ? -1 : left > right ? 1 : 0;
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.min(a.length, b.length); i++) if (!equal(a[i], b[i])) return order(a[i], b[i]);
    return a.length - b.length;
  }
  throw new TypeMismatch();
}

function contains(a: any, b: any): boolean {
  const within = text(b);
  if (within !== null) return within.includes(text(a) ?? pythonText(a));
  if (Array.isArray(b)) return b.some((one) => equal(a, one));
  if (plain(b)) return Object.keys(b).some((one) => equal(a, one));
  throw new TypeMismatch();
}

function pythonText(value: any): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return String(value);
}

function identical(a: any, b: any): boolean {
  return a === b || (a instanceof Kind && b instanceof Kind && a.text === b.text);
}

function compare(sign: string, a: any, b: any): boolean {
  switch (sign) {
    case "==":
      return equal(a, b);
    case "!=":
      return !equal(a, b);
    case "in":
      return contains(a, b);
    case "not in":
      return !contains(a, b);
    case "is":
      return identical(a, b);
    case "is not":
      return !identical(a, b);
  }
  const found = order(a, b);
  return sign === "<" ? found < 0 : sign === "<=" ? found <= 0 : sign === ">" ? found > 0 : found >= 0;
}

function arithmetic(sign: string, left: any, right: any): any {
  if (!isNumber(left) || !isNumber(right)) throw new TypeMismatch();
  const [a, b] = [Number(left), Number(right)];
  if (Math.abs(a) >= MAX_NUMBER || Math.abs(b) >= MAX_NUMBER) throw new TypeMismatch();
  switch (sign) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "&":
    case "|":
      if (!Number.isInteger(a) || !Number.isInteger(b)) throw new TypeMismatch();
      return Number(sign === "&" ? BigInt(a) & BigInt(b) : BigInt(a) | BigInt(b));
  }
  if (b === 0) throw new ValueProblem("division by zero");
  if (sign === "/") return a / b;
  return sign === "//" ? Math.floor(a / b) : a - b * Math.floor(a / b);
}

function item(value: any, key: any): any {
  if (plain(value)) {
    let name = text(key);
    if (name !== null && !Object.hasOwn(value, name) && Object.hasOwn(value, name.replaceAll("_", "-"))) name = name.replaceAll("_", "-");
    if (name === null || !Object.hasOwn(value, name)) throw new Missing();
    return value[name];
  }
  const list = Array.isArray(value) ? value : text(value);
  if (list === null || !isNumber(key) || !Number.isInteger(Number(key))) throw new TypeMismatch();
  const place = Number(key) < 0 ? Number(key) + list.length : Number(key);
  if (place < 0 || place >= list.length) throw new ValueProblem("index out of range");
  return list[place];
}

function builtin(name: string, args: any[]): any {
  const list = name === "min" || name === "max" ? (args.length === 1 ? items(args[0]) : args) : args;
  switch (name) {
    case "min":
    case "max":
      if (!args.length) throw new TypeMismatch();
      if (!list.length) throw new ValueProblem("empty");
      return list.reduce((best, one) => ((name === "min" ? order(one, best) < 0 : order(one, best) > 0) ? one : best));
  }
  if (args.length !== 1) {
    if (name === "int" && args.length === 0) return 0;
    throw new TypeMismatch();
  }
  const value = args[0];
  switch (name) {
    case "len":
      return items(value).length;
    case "abs":
      if (!isNumber(value)) throw new TypeMismatch();
      return Math.abs(Number(value));
    case "any":
      return items(value).some(truth);
    case "all":
      return items(value).every(truth);
  }
  if (isNumber(value)) return Math.trunc(Number(value));
  const digits = text(value);
  if (digits === null) throw new TypeMismatch();
  if (!/^\s*[-+]?\d+(_\d+)*\s*$/.test(digits)) throw new ValueProblem("not a number");
  return Number(digits.replaceAll("_", ""));
}

function items(value: any): any[] {
  const written = text(value);
  if (written !== null) return [...written];
  if (Array.isArray(value)) return value;
  if (plain(value)) return Object.keys(value);
  throw new TypeMismatch();
}
