import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { test } from 'node:test';
import { type DemoUpstream, startDemoUpstream } from '../../gateway/demo/upstream.ts';

async function withDemo(run: (demo: DemoUpstream) => Promise<void>): Promise<void> {
  const demo = await startDemoUpstream();
  try {
    await run(demo);
  } finally {
    await demo.close();
  }
}

test('the demo API serves what the demo configuration sells', () =>
  withDemo(async ({ url }) => {
    const quote = await (await fetch(`${url}/quote`)).json();
    assert.deepEqual(Object.keys(quote), ['text', 'author']);
    const next = await (await fetch(`${url}/quote?x=1`)).json();
    assert.notEqual(next.text, quote.text);
    assert.ok(Array.isArray((await (await fetch(`${url}/pack/weather`)).json()).weather));
    const dice = (await (await fetch(`${url}/pack/dice`)).json()).dice;
    assert.ok(dice >= 1 && dice <= 6);
    assert.deepEqual(await (await fetch(`${url}/free/hello`)).json(), { hello: 'world' });
    const index = await fetch(`${url}/library/`);
    assert.match(index.headers.get('content-type') ?? '', /^text\/html/);
    assert.match(await (await fetch(`${url}/library/book.txt`)).text(), /thy eternal summer/);
    assert.match(await (await fetch(`${url}/library/chapters/3.txt`)).text(), /^Sonnet 116\n/);
  }));

test('what is not there is 404, and other methods are 405', () =>
  withDemo(async ({ url }) => {
    for (const path of [
      '/',
      '/quote/',
      '/quotes',
      '/pack/x',
      '/library/chapters/9.txt',
      '/library/../quote/x',
    ]) {
      assert.equal((await fetch(url + path)).status, 404, path);
    }
    assert.equal((await fetch(`${url}/quote`, { method: 'DELETE' })).status, 405);
  }));

test('HEAD has the headers and no body, and a POST body is read to its end', () =>
  withDemo(async ({ url }) => {
    const head = await fetch(`${url}/library/book.txt`, { method: 'HEAD' });
    assert.ok(Number(head.headers.get('content-length')) > 1000);
    assert.equal(await head.text(), '');
    const post = await fetch(`${url}/quote`, { method: 'POST', body: 'x'.repeat(1_000_000) });
    assert.equal(post.status, 200);
    await post.text();
  }));

test('close ends kept-alive connections and waits for what is under way', async () => {
  const demo = await startDemoUpstream();
  const agent = new Agent({ keepAlive: true });
  const under = request({ port: demo.port, path: '/quote', method: 'POST', agent });
  under.flushHeaders();
  const [response] = await once(under, 'response');
  const closed = demo.close();
  under.end();
  response.resume();
  await closed;
  agent.destroy();
  await assert.rejects(fetch(`${demo.url}/quote`));
});
