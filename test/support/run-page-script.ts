import { createContext, runInContext } from 'node:vm';

/** One element of the pretended document: what the pages' scripts touch, and no more. */
export class FakeElement {
  textContent = '';
  hidden = false;
  value = '';
  readonly tag: string;
  readonly children: FakeElement[] = [];
  readonly attributes = new Map<string, string>();
  readonly listeners = new Map<string, (event: object) => void>();

  constructor(tag: string) {
    this.tag = tag;
  }
  append(...added: FakeElement[]): void {
    this.children.push(...added);
  }
  replaceChildren(...added: FakeElement[]): void {
    this.children.splice(0, this.children.length, ...added);
  }
  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }
  getAttribute(name: string): string | null {
    return this.attributes.get(name) ?? null;
  }
  addEventListener(name: string, listener: (event: object) => void): void {
    this.listeners.set(name, listener);
  }
  /** All text below, the way a person would read it. */
  text(): string {
    return [this.textContent, ...this.children.map((child) => child.text())].join(' ').trim();
  }
}

/** A page in a pretended browser. */
export interface PageRun {
  readonly byId: (id: string) => FakeElement;
  readonly storage: Map<string, string>;
  /** What was sent, in order. */
  readonly requests: { readonly url: string; readonly headers: Readonly<Record<string, string>> }[];
  /** Resolves when an element's text matches. */
  readonly until: (id: string, pattern: RegExp) => Promise<void>;
}

/** How the pretended browser behaves. */
export interface PageOptions {
  readonly html: string;
  readonly location: string;
  readonly storage?: Readonly<Record<string, string>>;
  readonly respond: (url: string, headers: Readonly<Record<string, string>>) => Response | Promise<Response>;
}

/** Runs the script of a page as the browser would see it: its text alone, with a document, fetch and storage. */
export function runPageScript(options: PageOptions): PageRun {
  const elements = new Map<string, FakeElement>();
  const byId = (id: string): FakeElement => {
    const known = elements.get(id) ?? new FakeElement('div');
    elements.set(id, known);
    return known;
  };
  for (const [, id = '', text = ''] of options.html.matchAll(
    /<script type="application\/json" id="(\w+)">([^<]*)</g,
  )) {
    byId(id).textContent = text;
  }
  const storage = new Map(Object.entries(options.storage ?? {}));
  const requests: PageRun['requests'] = [];
  const location = new URL(options.location);
  const context = createContext({
    document: {
      getElementById: byId,
      createElement: (tag: string) => new FakeElement(tag),
      querySelectorAll: () => [],
    },
    HTMLInputElement: FakeElement,
    HTMLTextAreaElement: FakeElement,
    sessionStorage: {
      getItem: (key: string) => storage.get(key) ?? null,
      setItem: (key: string, value: string) => storage.set(key, value),
      removeItem: (key: string) => storage.delete(key),
    },
    fetch: async (url: string, init: { headers: Record<string, string> }) => {
      requests.push({ url, headers: { ...init.headers } });
      return options.respond(url, init.headers);
    },
    location,
    history: { replaceState: () => (location.hash = '') },
    navigator: {},
    URL,
    URLSearchParams,
    // Waits between polls are over at once; a refresh that would go on for ever is not started.
    setTimeout: (run: () => void, ms: number) => (ms >= 5000 ? 0 : setImmediate(run)),
  });
  const script = /<script nonce="[^"]+">([\s\S]*?)<\/script>/.exec(options.html)?.[1] ?? '';
  runInContext(script, context, { timeout: 30_000 });
  return {
    byId,
    storage,
    requests,
    until: async (id, pattern) => {
      for (let turn = 0; turn < 2000 && !pattern.test(byId(id).text()); turn += 1) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (!pattern.test(byId(id).text())) throw new Error(`#${id} says "${byId(id).text()}", not ${pattern}`);
    },
  };
}
