import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, test } from 'node:test';
import {
  ask,
  type Closable,
  type ExchangeChanges,
  rawClient,
  startProxy,
  startRawUpstream,
  startUpstream,
  type TestProxy,
  type TestUpstream,
} from './wire.ts';

const open: Closable[] = [];
after(async () => {
  for (const each of open.reverse()) await each.close();
});

async function pair(
  listener: http.RequestListener,
  changes?: () => ExchangeChanges,
): Promise<{ upstream: TestUpstream; proxy: TestProxy }> {
  const upstream = await startUpstream(listener);
  const proxy = await startProxy(upstream.origin, changes);
  open.push(upstream, proxy);
  return { upstream, proxy };
}

test('a response passes whole, with the upstream’s own headers and reason', async () => {
  const { proxy } = await pair((_req, res) => {
    res.writeHead(203, 'Quite Fine', ['X-Two', '1', 'X-Two', '2', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']);
    res.end('{"ok":true}');
  });
  const res = await ask(`${proxy.origin}/x`);
  assert.equal(res.status, 203);
  assert.equal(res.body.toString(), '{"ok":true}');
  assert.deepEqual(res.headers['set-cookie'], ['a=1', 'b=2']);
  assert.deepEqual(await proxy.nextOutcome(), {
    kind: 'responded',
    status: 203,
    bytesSent: 11,
    delivered: true,
  });
});

test('bytes of every value survive the one-write path', async () => {
  const all = Buffer.from(Array.from({ length: 1024 }, (_, i) => i & 0xff));
  const { proxy } = await pair((_req, res) => res.end(all));
  assert.deepEqual((await ask(`${proxy.origin}/x`)).body, all);
});

test('a request body is streamed both with and without a length', async () => {
  const { proxy } = await pair((req, res) => {
    res.setHeader('X-Framing', String(req.headers['content-length'] ?? req.headers['transfer-encoding']));
    req.pipe(res);
  });
  const body = Buffer.alloc(300_000, 'abc');
  const plain = await ask(
    `${proxy.origin}/x`,
    { method: 'POST', headers: { 'Content-Length': body.length } },
    body,
  );
  assert.deepEqual(plain.body, body);
  assert.equal(plain.headers['x-framing'], '300000');
  const chunked = await ask(
    `${proxy.origin}/x`,
    { method: 'POST', headers: { 'Transfer-Encoding': 'chunked' } },
    body,
  );
  assert.deepEqual(chunked.body, body);
  assert.equal(chunked.headers['x-framing'], 'chunked');
});

test('a body that was read already is sent with its length', async () => {
  const { proxy } = await pair(
    (req, res) => {
      res.setHeader('X-Length', String(req.headers['content-length']));
      req.pipe(res);
    },
    () => ({ body: Buffer.from('read before') }),
  );
  const res = await ask(`${proxy.origin}/x`, { method: 'POST' }, 'read before');
  assert.equal(res.body.toString(), 'read before');
  assert.equal(res.headers['x-length'], '11');
});

test('a HEAD response keeps its Content-Length and has no body', async () => {
  const { proxy } = await pair((_req, res) => res.writeHead(200, { 'Content-Length': 12_345 }).end());
  const res = await ask(`${proxy.origin}/x`, { method: 'HEAD' });
  assert.equal(res.headers['content-length'], '12345');
  assert.equal(res.body.length, 0);
});

test('a range request passes with its 206', async () => {
  const { proxy } = await pair((req, res) => {
    res.writeHead(206, { 'Content-Range': 'bytes 2-3/10', 'X-Range': String(req.headers.range) }).end('cd');
  });
  const res = await ask(`${proxy.origin}/x`, { headers: { Range: 'bytes=2-3' } });
  assert.equal(res.status, 206);
  assert.equal(res.headers['x-range'], 'bytes=2-3');
  assert.equal(res.headers['content-range'], 'bytes 2-3/10');
});

test('a 304 keeps its Content-Length and a 204 has none', async () => {
  const { proxy } = await pair((req, res) => {
    res.writeHead(req.url === '/304' ? 304 : 204, { ETag: '"x"' }).end();
  });
  assert.equal((await ask(`${proxy.origin}/304`)).status, 304);
  assert.equal((await ask(`${proxy.origin}/204`)).status, 204);
});

test('response trailers pass, without those that a trailer must not hold', async () => {
  const { proxy } = await pair((_req, res) => {
    res.writeHead(200, { Trailer: 'X-Sum' });
    res.write('body');
    res.addTrailers({ 'X-Sum': 'abc', 'Set-Cookie': 'evil=1', 'L402-Balance-Msat': '9' });
    res.end();
  });
  const res = await ask(`${proxy.origin}/x`);
  assert.deepEqual({ ...res.trailers }, { 'x-sum': 'abc' });
});

test('103 Early Hints reach the client before the response', async () => {
  const { proxy } = await pair((_req, res) => {
    res.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => res.end('done'));
  });
  const req = http.get(`${proxy.origin}/x`, { agent: false });
  const [[hints], [res]] = await Promise.all([once(req, 'information'), once(req, 'response')]);
  assert.equal(hints.statusCode, 103);
  assert.equal(hints.headers.link, '</a.css>; rel=preload');
  assert.equal(res.statusCode, 200);
  res.resume();
});

test('an event of an event stream arrives before the next one is made', async () => {
  let send = (_text: string) => {};
  const { proxy } = await pair((_req, res) => {
    res.writeHead(200, { 'Content-Type': 'text/event-stream' });
    res.flushHeaders();
    send = (text) => (text === '' ? res.end() : res.write(text));
  });
  const req = http.get(`${proxy.origin}/x`, { agent: false });
  const [res] = await once(req, 'response');
  for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
    send(text);
    const [chunk] = await once(res, 'data');
    assert.equal(chunk.toString(), text);
  }
  send('');
  res.resume();
  await once(res, 'end');
});

test('a client that reads nothing stops the upstream, and reading on starts it again', async () => {
  const total = 60_000_000;
  let written = 0;
  let resumed = 0;
  const stalled = Promise.withResolvers<void>();
  const { proxy } = await pair((_req, res) => {
    res.writeHead(200, { 'Content-Length': total });
    const block = Buffer.alloc(100_000, 7);
    const fill = () => {
      while (written < total) {
        written += block.length;
        if (!res.write(block)) break;
      }
      if (written >= total) res.end();
    };
    res.on('drain', () => {
      resumed += 1;
      fill();
    });
    fill();
    // Nothing moved during a hundred turns of the loop: the pressure has reached the upstream.
    let quiet = 0;
    let before = -1;
    const watch = setInterval(() => {
      quiet = before === written ? quiet + 1 : 0;
      before = written;
      if (quiet < 20) return;
      clearInterval(watch);
      stalled.resolve();
    }, 10);
  });
  const req = http.get(`${proxy.origin}/x`, { agent: false });
  const [res] = await once(req, 'response');
  await stalled.promise;
  assert.ok(written < total, `the upstream was let write ${written} bytes to a client that reads nothing`);
  const before = resumed;
  let read = 0;
  for await (const chunk of res) read += chunk.length;
  assert.equal(read, total);
  assert.ok(resumed > before);
});

test('an upstream that reads nothing stops the client’s upload', async () => {
  const stalled = Promise.withResolvers<void>();
  const { proxy } = await pair(
    (req, res) => {
      req.pause();
      void stalled.promise.then(() => {
        req.resume();
        req.on('end', () => res.end('took it all'));
      });
    },
    () => ({ maxBodyBytes: 100_000_000 }),
  );
  // More than the kernel's buffers on both hops can hold.
  const total = 80_000_000;
  const client = await rawClient(
    proxy.port,
    `POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${total}\r\n\r\n`,
  );
  let sent = 0;
  const block = 'x'.repeat(100_000);
  while (sent < total && client.socket.write(block)) sent += block.length;
  sent += block.length;
  // The kernel's buffers are bounded; writes that stay undrained prove that nobody in between took the rest.
  const drained = once(client.socket, 'drain').then(() => 'drained');
  const quiet = new Promise((resolve) => setTimeout(() => resolve('stalled'), 300));
  let state = await Promise.race([drained, quiet]);
  while (state === 'drained' && sent < total) {
    while (sent < total && client.socket.write(block)) sent += block.length;
    state = await Promise.race([
      once(client.socket, 'drain').then(() => 'drained'),
      new Promise((resolve) => setTimeout(() => resolve('stalled'), 300)),
    ]);
  }
  assert.equal(state, 'stalled', 'the whole upload was taken for an upstream that reads nothing');
  stalled.resolve();
  client.socket.destroy();
  await proxy.nextOutcome();
});

test('a client that leaves before the head ends the upstream’s work', async () => {
  const gone = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const { proxy } = await pair((_req, res) => {
    res.on('close', () => gone.resolve());
    asked.resolve();
  });
  const client = await rawClient(proxy.port, 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
  await asked.promise;
  client.socket.destroy();
  await gone.promise;
  const outcome = await proxy.nextOutcome();
  assert.deepEqual(outcome, { kind: 'client-gone', when: 'before-head', status: undefined, bytesSent: 0 });
});

test('a client that leaves mid-body ends the upstream’s work', async () => {
  const gone = Promise.withResolvers<void>();
  const { proxy } = await pair((_req, res) => {
    res.on('close', () => gone.resolve());
    res.write('some');
  });
  const client = await rawClient(proxy.port, 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until('some');
  client.socket.destroy();
  await gone.promise;
  const outcome = await proxy.nextOutcome();
  assert.deepEqual(outcome, { kind: 'client-gone', when: 'after-head', status: 200, bytesSent: 4 });
});

test('a client that leaves mid-upload ends the upstream’s request', async () => {
  const aborted = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const { proxy } = await pair((req) => {
    req.once('data', () => begun.resolve());
    req.on('error', () => aborted.resolve());
  });
  const client = await rawClient(
    proxy.port,
    'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf',
  );
  await begun.promise;
  client.socket.destroy();
  await aborted.promise;
  assert.equal((await proxy.nextOutcome()).kind, 'client-gone');
});

for (const [how, head] of [
  ['with a length', 'Content-Length: 100'],
  ['with chunks', 'Transfer-Encoding: chunked'],
] as const) {
  test(`an upstream that dies mid-body ${how} resets the client, also one that speaks HTTP/1.0`, async () => {
    const part = how === 'with chunks' ? '4\r\nsome\r\n' : 'some';
    const upstream = await startRawUpstream((socket) => {
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\n${head}\r\n\r\n${part}`, () => socket.destroySoon());
      });
    });
    const proxy = await startProxy(upstream.origin);
    open.push(upstream, proxy);
    for (const version of ['1.1', '1.0']) {
      const client = await rawClient(proxy.port, `GET /x HTTP/${version}\r\nHost: a\r\n\r\n`);
      assert.equal(await client.ended(), 'ECONNRESET');
      const outcome = await proxy.nextOutcome();
      assert.deepEqual(outcome, { kind: 'broken', status: 200, bytesSent: 4, by: 'upstream' });
    }
  });
}

test('an upstream that refuses the connection is a 502 and nothing was written before', async () => {
  const upstream = await startUpstream(() => {});
  await upstream.close();
  const proxy = await startProxy(upstream.origin);
  open.push(proxy);
  const res = await ask(`${proxy.origin}/x`);
  assert.equal(res.status, 502);
  const outcome = await proxy.nextOutcome();
  assert.equal(outcome.kind, 'upstream-failed');
  assert.equal(outcome.kind === 'upstream-failed' && outcome.phase, 'connect');
});

test('an upstream that says nothing is a 504', async () => {
  const { proxy } = await pair(
    () => {},
    () => ({ timeouts: { connectMs: 1_000, headersMs: 60, idleMs: 60 } }),
  );
  assert.equal((await ask(`${proxy.origin}/x`)).status, 504);
  const outcome = await proxy.nextOutcome();
  assert.equal(outcome.kind === 'upstream-failed' && outcome.phase, 'timeout');
});

test('an upstream that stops mid-body is cut after the idle time', async () => {
  const { proxy } = await pair(
    (_req, res) => res.writeHead(200, { 'Content-Length': 10 }).write('half'),
    () => ({ timeouts: { connectMs: 1_000, headersMs: 5_000, idleMs: 60 } }),
  );
  await assert.rejects(ask(`${proxy.origin}/x`));
  const outcome = await proxy.nextOutcome();
  assert.equal(outcome.kind === 'broken' && outcome.by, 'upstream-timeout');
});

test('an upstream that talks nonsense is a 502 of phase protocol', async () => {
  for (const nonsense of [
    'SSH-2.0-OpenSSH\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc',
  ]) {
    const upstream = await startRawUpstream((socket) => socket.once('data', () => socket.end(nonsense)));
    const proxy = await startProxy(upstream.origin);
    open.push(upstream, proxy);
    assert.equal((await ask(`${proxy.origin}/x`)).status, 502);
    const outcome = await proxy.nextOutcome();
    assert.equal(outcome.kind === 'upstream-failed' && outcome.phase, 'protocol');
  }
});

test('an upstream that closes without an answer is asked once more for a GET and never again for a POST', async () => {
  let asked = 0;
  const upstream = await startRawUpstream((socket) => {
    socket.once('data', () => {
      asked += 1;
      socket.end();
    });
  });
  const proxy = await startProxy(upstream.origin);
  open.push(upstream, proxy);
  assert.equal((await ask(`${proxy.origin}/x`)).status, 502);
  assert.equal(asked, 2);
  asked = 0;
  assert.equal((await ask(`${proxy.origin}/x`, { method: 'POST' }, 'body')).status, 502);
  assert.equal(asked, 1);
});

test('a response without a length that ends by closing passes as chunks', async () => {
  const upstream = await startRawUpstream((socket) => {
    socket.once('data', () => socket.end('HTTP/1.0 200 OK\r\nX-Old: yes\r\n\r\nuntil the end'));
  });
  const proxy = await startProxy(upstream.origin);
  open.push(upstream, proxy);
  const res = await ask(`${proxy.origin}/x`);
  assert.equal(res.headers['x-old'], 'yes');
  assert.equal(res.body.toString(), 'until the end');
});

test('a body over the bound by its announced length never reaches the upstream', async () => {
  let asked = 0;
  const { proxy } = await pair(
    (_req, res) => {
      asked += 1;
      res.end();
    },
    () => ({ maxBodyBytes: 10 }),
  );
  assert.equal((await ask(`${proxy.origin}/x`, { method: 'POST' }, 'more than ten bytes')).status, 413);
  assert.deepEqual(await proxy.nextOutcome(), { kind: 'body-too-large', when: 'not-sent' });
  assert.equal(asked, 0);
});

test('a chunked body that goes over the bound mid-way is a 413 and cuts the upstream’s request', async () => {
  const aborted = Promise.withResolvers<void>();
  const { proxy } = await pair(
    (req) => req.on('error', () => aborted.resolve()).resume(),
    () => ({ maxBodyBytes: 10 }),
  );
  const client = await rawClient(
    proxy.port,
    'POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n',
  );
  client.send('6\r\n123456\r\n');
  await client.until('HTTP/1.1 413');
  assert.deepEqual(await proxy.nextOutcome(), { kind: 'body-too-large', when: 'cut' });
  await aborted.promise;
  client.socket.destroy();
});

test('what the caller adds replaces the upstream’s header of that name', async () => {
  const { proxy } = await pair(
    (_req, res) => res.writeHead(200, { 'Cache-Control': 'public', 'X-Own': '1' }).end('x'),
    () => ({ onHead: () => ['cache-control', 'private, no-store', 'L402-Balance-Msat', '90'] }),
  );
  const res = await ask(`${proxy.origin}/x`);
  assert.equal(res.headers['cache-control'], 'private, no-store');
  assert.equal(res.headers['l402-balance-msat'], '90');
  assert.equal(res.headers['x-own'], '1');
});

test('a discarded response leaves nothing written', async () => {
  const { proxy } = await pair(
    (_req, res) => res.end('secret'),
    () => ({ onHead: () => 'discard' }),
  );
  const res = await ask(`${proxy.origin}/x`);
  assert.equal(res.status, 503);
  assert.equal(res.body.toString(), 'discarded');
  assert.deepEqual(await proxy.nextOutcome(), { kind: 'discarded', status: 200 });
});

test('pipelined requests are answered in order, and all end with their client', async () => {
  const waiting: http.ServerResponse[] = [];
  const both = Promise.withResolvers<void>();
  const { proxy } = await pair((req, res) => {
    if (req.url === '/quick') res.end('quick');
    else waiting.push(res);
    if (waiting.length === 2) both.resolve();
  });
  const head = 'HTTP/1.1\r\nHost: a\r\n\r\n';
  const client = await rawClient(proxy.port, `GET /slow ${head}GET /quick ${head}GET /slow ${head}`);
  await both.promise;
  const [first, last] = waiting;
  first?.end('slow');
  const text = await client.until('quick');
  assert.ok(text.indexOf('slow') < text.indexOf('quick'));
  const gone = once(last as http.ServerResponse, 'close');
  client.socket.destroy();
  await gone;
});

test('a reload closes the pools of dropped origins after their requests', async () => {
  const asked = Promise.withResolvers<http.ServerResponse>();
  const { proxy } = await pair((_req, res) => asked.resolve(res));
  const answer = ask(`${proxy.origin}/x`);
  const res = await asked.promise;
  proxy.upstreams.retain(new Set());
  res.end('still whole');
  assert.equal((await answer).body.toString(), 'still whole');
});
