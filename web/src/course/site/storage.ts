// The learner's files in the browser's storage: progress and exercises. Other sites of the same server have other folders.
const PREFIX = `pystack course ${new URL(".", location.href).pathname} `;

export class Storage {
  /** The files, if the browser forbids its storage. A reload loses them. */
  private readonly kept = new Map<string, string>();
  private readonly local: globalThis.Storage | null;

  constructor() {
    let local: globalThis.Storage | null = null;
    try {
      local = localStorage;
      local.length;
    } catch {
      local = null;
    }
    this.local = local;
  }

  get(name: string): string | null {
    return this.local?.getItem(PREFIX + name) ?? this.kept.get(name) ?? null;
  }

  /** All files, as they are now. Another tab may have changed them. */
  all(): Record<string, string> {
    const found = Object.fromEntries(this.kept);
    for (let index = 0; index < (this.local?.length ?? 0); index++) {
      const key = this.local!.key(index)!;
      if (key.startsWith(PREFIX)) found[key.slice(PREFIX.length)] = this.local!.getItem(key)!;
    }
    return found;
  }

  /** Write a file, or remove it. */
  put(name: string, text: string | null): void {
    this.kept.delete(name);
    if (text === null) this.local?.removeItem(PREFIX + name);
    else if (!this.local) this.kept.set(name, text);
    else {
      try {
        this.local.setItem(PREFIX + name, text);
      } catch {
        this.kept.set(name, text);
        throw new Error("the browser's storage is full");
      }
    }
  }
}
