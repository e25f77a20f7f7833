// The page's side of a worker.
import type { Begin, Said, Work } from "./messages";
import type { Progress } from "../source";

export class Client {
  /** Whether a learner's file or an experiment ran in it. */
  used = false;
  readonly ready: Promise<void>;
  private readonly worker: Worker;
  private waiting: { resolve(text: string): void; reject(error: Error): void; progress?: Progress } | null = null;
  private ended: Error | null = null;

  constructor(settings: Begin, loading: (what: string) => void = () => {}) {
    // A worker of the address of a blob has the policy of the page, so it cannot send anything to other sites. A worker of the server's
    // address would have the policy that the server sends, which is often none.
    const script = URL.createObjectURL(new Blob([`import ${JSON.stringify(`${settings.base}worker.js`)};`], { type: "text/javascript" }));
    this.worker = new Worker(script, { type: "module" });
    this.ready = new Promise((resolve, reject) => {
      this.waiting = { resolve: () => resolve(), reject };
      this.worker.onmessage = ({ data }: MessageEvent<Said>) => {
        if ("loading" in data) loading(data.loading);
        else if ("progress" in data) this.waiting?.progress?.(...data.progress);
        else {
          const waiting = this.waiting;
          this.waiting = null;
          if ("failed" in data) waiting?.reject(new Error(data.failed));
          else waiting?.resolve("done" in data ? data.done : "");
        }
      };
      this.worker.onerror = (event) => {
        event.preventDefault();
        this.end(event.message || "the worker with Python could not be started");
      };
      this.worker.postMessage(settings);
    });
    this.ready.then(() => URL.revokeObjectURL(script), () => {});
  }

  /** Whether the worker was ended. */
  get gone(): boolean {
    return this.ended !== null;
  }

  /** Do something, after what was asked for before. */
  async call(work: Work, progress?: Progress): Promise<string> {
    await this.ready;
    if (this.ended) throw this.ended;
    if (this.waiting) throw new Error("the worker is busy");
    this.used = true;
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject, progress };
      this.worker.postMessage(work);
    });
  }

  /** End the worker. What it did is rejected with these words. */
  end(words: string): void {
    this.ended ??= new Error(words);
    this.worker.terminate();
    this.waiting?.reject(this.ended);
    this.waiting = null;
  }
}
