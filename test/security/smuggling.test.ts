import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { type Closable, rawClient, startRawUpstream, startUpstream } from '../proxy/wire.ts';
import { type Served, serve, serveUpstream } from './serve.ts';

/*
 * One request in must be at most one request out, as the upstream reads it. The first half: what the parser refuses, answered
 * in JSON and closed. The second half: what passes, and what then reaches the upstream, byte for byte.
 */

const open: Closable[] = [];
after(async () => {
  for (const each of open.reverse()) await each.close();
});

async function kept<T extends Closable>(starting: Promise<T>): Promise<T> {
  const started = await starting;
  open.push(started);
  return started;
}

/** An upstream that keeps what it reads and answers everything with 200. */
async function recordingUpstream() {
  const connections: string[] = [];
  const upstream = await kept(
    startRawUpstream((socket) => {
      const at = connections.push('') - 1;
      socket.on('data', (chunk) => {
        connections[at] += chunk.toString('latin1');
        if (connections[at]?.endsWith('\r\n\r\n') || connections[at]?.endsWith('END')) {
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
        }
      });
    }),
  );
  return { upstream, all: () => connections.join('') };
}

const HOST = 'Host: shop.example\r\n';

const REFUSED: readonly (readonly [what: string, bytes: string])[] = [
  ['Content-Length beside Transfer-Encoding', `POST / HTTP/1.1\r\n${HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['Transfer-Encoding before Content-Length', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`],
  ['two different Content-Lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 4\r\nContent-Length: 5\r\n\r\n12345`],
  ['two equal Content-Lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 4\r\nContent-Length: 4\r\n\r\n1234`],
  ['a list of Content-Lengths', `POST / HTTP/1.1\r\n${HOST}Content-Length: 4, 4\r\n\r\n1234`],
  ['a signed Content-Length', `POST / HTTP/1.1\r\n${HOST}Content-Length: +4\r\n\r\n1234`],
  ['a Content-Length in hex', `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x4\r\n\r\n1234`],
  ['a Transfer-Encoding that does not end in chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`],
  ['an unknown Transfer-Encoding', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ['a coding beside chunked', `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['a Transfer-Encoding in HTTP/1.0', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['a folded header', `GET / HTTP/1.1\r\n${HOST}X-A: 1\r\n 2\r\n\r\n`],
  ['a space before the colon', `GET / HTTP/1.1\r\n${HOST}Content-Length : 4\r\n\r\n`],
  ['a bare LF after a header', `GET / HTTP/1.1\r\n${HOST}X-A: 1\nX-B: 2\r\n\r\n`],
  ['a bare LF after the request line', `GET / HTTP/1.1\n${HOST}\r\n`],
  ['a bare CR in a header', `GET / HTTP/1.1\r\n${HOST}X-A: 1\rX-B: 2\r\n\r\n`],
  ['a NUL in a header', `GET / HTTP/1.1\r\n${HOST}X-A: 1\0\r\n\r\n`],
  ['a name with a control character', `GET / HTTP/1.1\r\n${HOST}X\u0001A: 1\r\n\r\n`],
  ['a header without a name', `GET / HTTP/1.1\r\n${HOST}: 1\r\n\r\n`],
  ['an unknown version', `GET / HTTP/3.7\r\n${HOST}\r\n`],
  ['an unknown method', `FROB / HTTP/1.1\r\n${HOST}\r\n`],
  ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['two Host headers', `GET / HTTP/1.1\r\n${HOST}Host: other.example\r\n\r\n`],
  ['two equal Host headers', `GET / HTTP/1.1\r\n${HOST}host: shop.example\r\n\r\n`],
  ['no Host header', 'GET / HTTP/1.1\r\nX-A: 1\r\n\r\n'],
]; // biome-ignore format: a table

for (const [what, bytes] of REFUSED) {
  test(`${what} is refused, and what follows is not read as a request`, async () => {
    const served = await kept(serve());
    const client = await rawClient(served.port, `${bytes}GET /smuggled HTTP/1.1\r\n${HOST}\r\n`);
    await client.ended();
    assert.match(client.text(), /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.match(client.text(), /"code":"bad-request"/);
    assert.match(client.text(), /connection: close/i);
    assert.ok(!served.seen.includes('GET /smuggled'));
    assert.equal(client.text().match(/HTTP\/1\.1 /g)?.length, 1);
    assert.deepEqual(served.seen, []);
  });
}

for (const [what, chunks] of [
  ['a chunk size that is no number', 'zz\r\nab\r\n0\r\n\r\n'],
  ['a chunk size with a sign', '+2\r\nab\r\n0\r\n\r\n'],
  ['a chunk that is longer than its size', '2\r\nabc\r\n0\r\n\r\n'],
  ['a chunk size ended by a bare LF', '2\nab\r\n0\r\n\r\n'],
  ['chunk data ended by a bare LF', '2\r\nab\n0\r\n\r\n'],
  ['a chunk extension with a bare LF', '2;x=\n\r\nab\r\n0\r\n\r\n'],
  ['a chunk size past 2^64', 'fffffffffffffffff\r\nab\r\n0\r\n\r\n'],
] as const) {
  test(`${what} ends the connection and never becomes a second request`, async () => {
    const { upstream, all } = await recordingUpstream();
    const served = await kept(serveUpstream(upstream.origin));
    const client = await rawClient(
      served.port,
      `POST /first HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${chunks}GET /smuggled HTTP/1.1\r\n${HOST}\r\n`,
    );
    await client.ended();
    assert.ok(!all().includes('smuggled'));
    assert.ok(!served.seen.includes('GET /smuggled'));
  });
}

test('chunk extensions and request trailers do not reach the upstream', async () => {
  const { upstream, all } = await recordingUpstream();
  const served = await kept(serveUpstream(upstream.origin));
  const client = await rawClient(
    served.port,
    `POST /x HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;ext=evil\r\nEND\r\n0\r\nX-T: evil\r\n\r\n`,
  );
  await client.until('200 OK');
  assert.match(all(), /\r\n3\r\nEND/);
  assert.ok(!all().includes('evil'));
  client.socket.destroy();
});

test('chunk extensions without end are cut off', async () => {
  const served = await kept(serve({ onRequest: (req) => req.resume() }));
  const client = await rawClient(
    served.port,
    `POST /x HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1;`,
  );
  client.send('x'.repeat(100_000));
  await client.ended();
});

test('a request can’t be split by its path', async () => {
  const { upstream, all } = await recordingUpstream();
  const upstreams = await kept(serveUpstream(upstream.origin));
  const client = await rawClient(upstreams.port, `GET /a?x=%0d%0aX-Evil:%201 HTTP/1.1\r\n${HOST}\r\n`);
  await client.until('200 OK');
  // In a query an escape stays an escape.
  assert.match(all(), /^GET \/a\?x=%0d%0aX-Evil:%201 HTTP\/1\.1\r\n/);
  client.socket.destroy();
  for (const target of ['/a b', '/a\u0000', '/a\tb', '/a\rb']) {
    const each = await rawClient(upstreams.port, `GET ${target} HTTP/1.1\r\n${HOST}\r\n`);
    await each.ended();
    assert.match(each.text(), /^HTTP\/1\.1 400 /);
  }
});

test('the upstream reads exactly one request, with none of the client’s framing or connection headers', async () => {
  const { upstream, all } = await recordingUpstream();
  const served = await kept(serveUpstream(upstream.origin));
  const client = await rawClient(
    served.port,
    [
      'GET http://real.example/a/../b HTTP/1.1',
      'Host: other.example',
      'Connection: close, X-Hop, Host, X-Forwarded-For',
      'X-Hop: evil',
      'Authorization: L402 one:1',
      'authorization: L402 two:2',
      'L402-Account: evil',
      'L402_Account: evil',
      'X-Original-URL: /evil',
      'Upgrade: h2c',
      'HTTP2-Settings: evil',
      'X-Mine: kept',
      '\r\n',
    ].join('\r\n'),
  );
  await client.until('200 OK');
  await client.ended();
  const text = all();
  assert.match(text, /^GET \/b HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\n/);
  assert.ok(!text.includes('evil') && !/l402/i.test(text) && !/upgrade/i.test(text), text);
  assert.match(text, /X-Mine: kept\r\n/);
  assert.match(text, /X-Forwarded-Host: real\.example\r\n/);
  assert.ok(!text.includes('other.example'));
  assert.equal(text.match(/ HTTP\/1\.1/g)?.length, 1);
});

test('what a client sends after a GET with a length is that request’s body, never another request', async () => {
  const bodies: string[] = [];
  const upstream = await kept(
    startUpstream(async (req, res) => {
      let body = '';
      for await (const chunk of req) body += chunk;
      bodies.push(`${req.method} ${req.url} ${body}`);
      res.end('done');
    }),
  );
  const served = await kept(serveUpstream(upstream.origin));
  const inner = `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`;
  const client = await rawClient(
    served.port,
    `GET /outer HTTP/1.1\r\n${HOST}Content-Length: ${inner.length}\r\n\r\n${inner}`,
  );
  await client.until('done');
  assert.deepEqual(bodies, [`GET /outer ${inner}`]);
  client.socket.destroy();
});

test('what is left of a body that an answer overtook stays a body, and the connection goes on after it', async () => {
  const upstream = await kept(startUpstream((_req, res) => res.writeHead(401).end('no')));
  const served = await kept(serveUpstream(upstream.origin));
  const rest = `GET /smuggled HTTP/1.1\r\n${HOST}\r\n`;
  const client = await rawClient(
    served.port,
    `POST /x HTTP/1.1\r\n${HOST}Content-Length: ${rest.length + 1}\r\n\r\n1`,
  );
  assert.match(await client.until('\r\n\r\n'), /^HTTP\/1\.1 401 /);
  client.send(`${rest}GET /next HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
  await client.ended();
  assert.deepEqual(served.seen, ['POST /x', 'GET /next']);
});

/** Both answers must come from one connection, in order. */
test('pipelined requests each get their own answer', async () => {
  const upstream = await kept(startUpstream((req, res) => res.end(`answer to ${req.url};`)));
  const served: Served = await kept(serveUpstream(upstream.origin));
  const requests = ['/1', '/2', '/3'].map((url) => `GET ${url} HTTP/1.1\r\n${HOST}\r\n`).join('');
  const client = await rawClient(served.port, requests);
  await client.until('answer to /3;');
  assert.deepEqual(client.text().match(/answer to \/\d/g), ['answer to /1', 'answer to /2', 'answer to /3']);
  client.socket.destroy();
});
