import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { SseReader } from '../../client/index.ts';
import { type DemoUpstream, startDemoUpstream } from '../../gateway/demo/upstream.ts';

async function withDemo(run: (demo: DemoUpstream) => Promise<void>): Promise<void> {
  const demo = await startDemoUpstream({ tickMs: 5, tokenMs: 0 });
  try {
    await run(demo);
  } finally {
    await demo.close();
  }
}

/** The data of the first events of a stream. */
async function firstEvents(response: Response, count: number): Promise<{ count: number; time: string }[]> {
  const reader = new SseReader();
  const found: { count: number; time: string }[] = [];
  for await (const chunk of response.body ?? []) {
    for (const { event } of reader.push(chunk)) if (event !== undefined) found.push(JSON.parse(event.data));
    if (found.length >= count) break;
  }
  return found.slice(0, count);
}

test('/live counts, says the time, and goes on where a reader was cut off', () =>
  withDemo(async ({ url }) => {
    const live = await fetch(`${url}/live`);
    assert.match(live.headers.get('content-type') ?? '', /^text\/event-stream/);
    const events = await firstEvents(live, 3);
    assert.deepEqual(
      events.map(({ count }) => count),
      [1, 2, 3],
    );
    assert.ok(Number.isFinite(Date.parse(events[0]?.time ?? '')));
    const again = await fetch(`${url}/live`, { headers: { 'last-event-id': '41' } });
    assert.deepEqual(
      (await firstEvents(again, 2)).map(({ count }) => count),
      [42, 43],
    );
    assert.equal(await (await fetch(`${url}/live`, { method: 'HEAD' })).text(), '');
  }));

test('/ws sends back what it gets, and says the time by itself', () =>
  withDemo(async ({ url }) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`);
    const messages: string[] = [];
    const { promise: enough, resolve } = Promise.withResolvers<void>();
    socket.on('message', (data) => {
      messages.push(String(data));
      if (messages.includes('hello') && messages.some((text) => text.includes('"count":2'))) resolve();
    });
    await once(socket, 'open');
    socket.send('hello');
    await enough;
    assert.match(messages[0] ?? '', /^\{"count":1,"time":"/);
    socket.close();
    await once(socket, 'close');
    const other = new WebSocket(`${url.replace('http', 'ws')}/other`);
    const [error] = await once(other, 'error');
    assert.match(error.message, /404/);
  }));

test('close ends streams and WebSockets that would go on for ever', async () => {
  const demo = await startDemoUpstream({ tickMs: 5 });
  const live = await fetch(`${demo.url}/live`);
  const socket = new WebSocket(`${demo.url.replace('http', 'ws')}/ws`);
  await once(socket, 'open');
  const closed = demo.close();
  const [code] = await once(socket, 'close');
  assert.equal(code, 1001);
  assert.match(await live.text(), /"count":1/);
  await closed;
});
