import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { createContext, runInContext } from 'node:vm';
import * as sluice from '../../client/index.ts';
import { runLivePage } from '../../gateway/demo/live-page-client.ts';
import { type DemoUpstream, startDemoUpstream } from '../../gateway/demo/upstream.ts';
import { type FakeGateway, startGateway, until } from '../client/fake-gateway.ts';
import { startNode, type TestNode } from '../client/support.ts';
import { FakeElement } from '../support/run-page-script.ts';

describe('the live page', () => {
  let demo: DemoUpstream;
  let html: string;
  let policy: string;
  before(async () => {
    demo = await startDemoUpstream();
    const response = await fetch(`${demo.url}/free/live.html`);
    html = await response.text();
    policy = response.headers.get('content-security-policy') ?? '';
  });
  after(() => demo.close());

  it('runs only its own scripts, and asks nobody but its own origin', () => {
    const [, nonce] = /'nonce-([^']+)'/.exec(policy) ?? [];
    const scripts = [...html.matchAll(/<(?:script|style)\b([^>]*)>/g)].map(
      ([, attributes = '']) => attributes,
    );
    assert.equal(scripts.length, 3);
    for (const attributes of scripts) assert.ok(attributes.includes(`nonce="${nonce}"`), attributes);
    assert.match(policy, /default-src 'none'; script-src 'self' 'nonce-[^']+'; /);
    assert.doesNotMatch(html, / style=| on\w+=|(?:src|href)="https?:/);
  });

  it('loads the client library as a browser does: every module is there, and runs without Node', async () => {
    const map: { imports: Record<string, string> } = JSON.parse(
      /importmap"[^>]*>([^<]+)</.exec(html)?.[1] ?? '{}',
    );
    const sources = new Map<string, string>();
    const open = Object.values(map.imports).map((path) => new URL(path, demo.url).href);
    for (let url = open.pop(); url !== undefined; url = open.pop()) {
      if (sources.has(url)) continue;
      const response = await fetch(url);
      assert.equal(response.status, 200, url);
      assert.match(response.headers.get('content-type') ?? '', /^text\/javascript/);
      const source = await response.text();
      sources.set(url, source);
      for (const [, name = ''] of source.matchAll(/^(?:import|export)\b[^;'*]*?\bfrom\s*'([^']+)'/gm)) {
        open.push(new URL(map.imports[name] ?? name, url).href);
      }
    }
    assert.ok(sources.size > 30);
    const hooks = registerHooks({
      resolve: (name, context, next) => {
        const url = new URL(
          map.imports[name] ?? name,
          context.parentURL?.startsWith('http') ? context.parentURL : demo.url,
        );
        return sources.has(url.href) ? { url: url.href, shortCircuit: true } : next(name, context);
      },
      load: (url, context, next) => {
        const source = sources.get(url);
        return source === undefined ? next(url, context) : { format: 'module', source, shortCircuit: true };
      },
    });
    try {
      const entry = new URL(map.imports['sluice/client'] ?? '', demo.url).href;
      const loaded: typeof sluice = await import(entry);
      assert.equal(typeof loaded.createPayingClient, 'function');
      assert.notEqual(loaded.createPayingClient, sluice.createPayingClient, 'it is the one that was served');
      assert.deepEqual(Object.keys(loaded).toSorted(), Object.keys(sluice).toSorted());
    } finally {
      hooks.deregister();
    }
  });

  it('serves the modules of the client and no other files', async () => {
    for (const path of [
      'client/node.ts',
      'client/file-token-store.ts',
      'package.json',
      '../route.ts',
      'client/%2e%2e/package.json',
      '',
    ]) {
      assert.equal((await fetch(`${demo.url}/free/modules/${path}`)).status, 404, path);
    }
  });

  it('draws invoices as QR codes', async () => {
    const svg = await fetch(`${demo.url}/free/qr.svg?text=LIGHTNING:LNBCRT1ABC`);
    assert.deepEqual([svg.status, svg.headers.get('content-type')], [200, 'image/svg+xml']);
    assert.match(await svg.text(), /^<svg /);
    for (const text of ['', '<script>', 'A'.repeat(3_000)]) {
      assert.equal((await fetch(`${demo.url}/free/qr.svg?text=${encodeURIComponent(text)}`)).status, 400);
    }
  });
});

/** What the live page's script touches beside what every page does. */
class PageElement extends FakeElement {
  disabled = false;
  checked = true;
  override hidden = this.tag === 'pay';
  get lastElementChild(): { remove(): void } {
    return { remove: () => void this.children.pop() };
  }
  prepend(added: FakeElement): void {
    this.children.unshift(added);
  }
  click(): void {
    this.listeners.get('click')?.({});
  }
  removeEventListener(name: string): void {
    this.listeners.delete(name);
  }
}

describe('its script', () => {
  let node: TestNode;
  let gateway: FakeGateway;
  let elements: Map<string, PageElement>;
  beforeEach(async () => {
    node = await startNode();
    gateway = await startGateway(node, { nowMs: Date.now, sleep: async () => undefined });
    Object.defineProperty(globalThis, 'location', { value: new URL(gateway.origin), configurable: true });
    elements = new Map();
    const stored = new Map<string, string>();
    const context = createContext({
      document: { getElementById: byId, createElement: (tag: string) => new PageElement(tag) },
      sessionStorage: {
        getItem: (key: string) => stored.get(key) ?? null,
        setItem: (key: string, value: string) => stored.set(key, value),
      },
      navigator: {},
      AbortController,
      // Redrawing goes on for ever; each word of the gateway draws too.
      setInterval: () => 0,
    });
    // As in the page: the function's own text, with nothing of its module around it.
    const run: typeof runLivePage = runInContext(`(${runLivePage.toString()})`, context);
    run(sluice);
  });
  afterEach(async () => {
    await gateway.close();
    await node.close();
    Reflect.deleteProperty(globalThis, 'location');
  });

  function byId(id: string): PageElement {
    const known = elements.get(id) ?? new PageElement(id);
    elements.set(id, known);
    return known;
  }

  /** Pays what the page shows, as `sluice pay` does. */
  async function payShown(): Promise<void> {
    await until('an invoice is shown', () => !byId('pay').hidden);
    const invoice = byId('invoice').value;
    assert.equal(byId('command').textContent, `npx sluice pay ${invoice}`);
    assert.equal(byId('qr').getAttribute('src'), `/free/qr.svg?text=LIGHTNING:${invoice.toUpperCase()}`);
    const { paymentHash } = sluice.decodeInvoice(invoice);
    const line = `GET /.l402/invoices/${paymentHash} 200`;
    while (gateway.count(line) < 2) {
      gateway.settle(paymentHash);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  it('shows the invoice, plays the stream, tops up, stops, and goes on with what is left', async () => {
    byId('start').click();
    await payShown();
    await until('it plays', () => gateway.streams.length === 1);
    gateway.streams[0]?.event('message', { count: 1 });
    await until('the event is shown', () => byId('events').text().includes('"count":1'));
    assert.equal(byId('pay').hidden, true);
    assert.match(byId('balance').textContent, /^(60\.0|59\.\d) sat$/);
    assert.equal(byId('rate').textContent, '100 msat/s');
    assert.equal(byId('paid').textContent, '60.0 sat');
    assert.deepEqual(
      [byId('start').disabled, byId('stop').disabled, byId('topup').disabled],
      [true, false, false],
    );

    byId('topup').click();
    await payShown();
    await until('it is topped up', () => byId('status').textContent === 'Topped up.');
    assert.equal(gateway.balances.get(gateway.account()), 80_000);
    assert.equal(byId('paid').textContent, '80.0 sat');

    byId('stop').click();
    await gateway.streams[0]?.closed;
    await until('it is stopped', () => byId('start').disabled === false);
    assert.match(byId('status').textContent, /^Stopped/);
    byId('start').click();
    await until('it plays again', () => gateway.streams.length === 2);
    assert.equal(byId('pay').hidden, true, 'nothing is to be paid');
    byId('stop').click();
    await until('it is stopped', () => byId('start').disabled === false);
  });

  it('asks for a top-up before the money is used up', async () => {
    byId('start').click();
    await payShown();
    await until('the feed is open', () => gateway.feeds.length === 1);
    gateway.setBalance(2_000);
    gateway.feeds[0]?.event('balance', { balanceMsat: 2_000 });
    await payShown();
    await until('it is topped up', () => gateway.balances.get(gateway.account()) === 22_000);
    byId('stop').click();
    await until('it is stopped', () => byId('start').disabled === false);
  });
});
