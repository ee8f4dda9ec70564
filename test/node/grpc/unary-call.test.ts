import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { inspect } from 'node:util';
import { NodeError } from '../../../node/node.ts';
import { rejectsWith } from '../../contract/node.contract.ts';
import { eventually } from '../../support/eventually.ts';
import {
  answered,
  CANCEL,
  framed,
  type GrpcCallSeen,
  type GrpcReply,
  HEAD,
  plain,
  refused,
  sent,
  silent,
} from '../lnd/fake-grpc.ts';
import {
  CALL,
  ECHO,
  frame,
  inTurn,
  listening,
  MESSAGE,
  openBench,
  openClient,
  openRaw,
  SECRET,
} from './bench.ts';

describe('a call', () => {
  test('is a POST with its metadata, its deadline and one message in a frame', async (t) => {
    const { grpc, fake } = await openBench(t, ECHO);
    await grpc.call(CALL);
    const [{ headers, message, path } = assert.fail()] = fake.calls;
    assert.deepEqual([path, message], [CALL.path, MESSAGE]);
    assert.partialDeepStrictEqual(headers, {
      ':method': 'POST',
      ':scheme': 'https',
      ':authority': `127.0.0.1:${fake.port}`,
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': '60000m',
      macaroon: SECRET,
    });
  });

  test('is answered with a status and a message', async (t) => {
    const { grpc } = await openBench(t, ECHO);
    const { httpStatus, status, message } = await grpc.call(CALL);
    assert.deepEqual([httpStatus, status], [200, { code: 0, message: '' }]);
    assert.deepEqual(Buffer.from(message ?? []), MESSAGE);
  });

  test('may be answered with an empty message, and with a content type that names protobuf', async (t) => {
    const reply: GrpcReply = ({ stream }) => {
      stream.respond({ ...HEAD, 'content-type': 'application/grpc+proto' }, { waitForTrailers: true });
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(framed(Buffer.alloc(0)));
    };
    const { grpc } = await openBench(t, reply);
    assert.equal((await grpc.call(CALL)).message?.length, 0);
  });

  test('may be answered byte by byte, after an informational head', async (t) => {
    const message = Buffer.from('a message of many bytes, each in a frame of its own');
    const drip = async ({ stream }: GrpcCallSeen) => {
      stream.additionalHeaders({ ':status': 103 });
      stream.respond(HEAD, { waitForTrailers: true });
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      for (const byte of framed(message)) {
        await new Promise((resolve) => stream.write(Buffer.of(byte), resolve));
      }
      stream.end();
    };
    const { grpc } = await openBench(t, (call) => void drip(call));
    assert.deepEqual(Buffer.from((await grpc.call(CALL)).message ?? []), message);
  });

  test('may be refused: in trailers only, or after a head; a text is percent-decoded', async (t) => {
    const replies = inTurn(
      refused(2, 'memo too large: 100%25 %E2%98%95'),
      refused(16),
      refused(3, '100% wrong'),
      sent(Buffer.alloc(0), { 'grpc-status': '5', 'grpc-message': 'unknown' }),
    );
    const { grpc } = await openBench(t, replies);
    for (const status of [
      { code: 2, message: 'memo too large: 100% ☕' },
      { code: 16, message: '' },
      { code: 3, message: '100% wrong' },
      { code: 5, message: 'unknown' },
    ]) {
      assert.deepEqual(await grpc.call(CALL), { httpStatus: 200, status });
    }
  });

  test('may be answered by something that is not gRPC: then there is a status of HTTP only', async (t) => {
    const replies = inTurn(
      plain(404, 'text/html', '<html>'),
      plain(503, 'application/grpc', 'busy'),
      plain(200, 'text/html', '<html>'),
      plain(200, 'application/grpc-web', 'x'),
    );
    const { grpc } = await openBench(t, replies);
    for (const httpStatus of [404, 503, 200, 200]) assert.deepEqual(await grpc.call(CALL), { httpStatus });
  });

  test('shares a connection with others, in any order of answers', async (t) => {
    const { grpc, fake } = await openBench(t, silent);
    const calls = [grpc.call(CALL), grpc.call(CALL), grpc.call(CALL)];
    await fake.nth(3);
    for (const [index, call] of [...fake.calls.entries()].reverse()) answered(Buffer.of(index))(call);
    const bytes = (await Promise.all(calls)).map(({ message }) => message?.[0]);
    assert.deepEqual(bytes.sort(), [0, 1, 2]);
    assert.equal(fake.opened(), 1);
  });
});

describe('an answer that breaks off is unreachable', () => {
  const cases: [string, GrpcReply][] = [
    ['without trailers', plain(200, 'application/grpc', framed(MESSAGE).toString('latin1'))],
    ['without anything', ({ stream }) => stream.close()],
    [
      'reset in the middle',
      ({ stream }) => {
        stream.respond(HEAD);
        stream.write(framed(MESSAGE).subarray(0, 3), () => stream.close(2));
      },
    ],
    [
      'cancelled after the whole message',
      ({ stream }) => {
        stream.respond(HEAD);
        stream.write(framed(MESSAGE), () => stream.close(CANCEL));
      },
    ],
    [
      'with the whole connection, by an error',
      ({ stream }) => {
        stream.respond(HEAD);
        stream.write(framed(MESSAGE), () => stream.session?.goaway(2));
      },
    ],
  ];
  for (const [title, reply] of cases) {
    test(title, async (t) => {
      const { grpc } = await openBench(t, inTurn(reply, ECHO));
      await rejectsWith(grpc.call(CALL), 'unreachable');
      assert.equal((await grpc.call(CALL)).status?.code, 0);
    });
  }

  test('with the socket; every call under way is told, and the next one opens another', async (t) => {
    const half: GrpcReply = ({ stream }) => {
      stream.respond(HEAD);
      stream.write(framed(MESSAGE));
    };
    const { grpc, fake } = await openBench(t, inTurn(half, half, ECHO));
    const calls = [grpc.call(CALL), grpc.call(CALL)].map((call) => rejectsWith(call, 'unreachable'));
    await fake.nth(2);
    fake.destroyConnections();
    await Promise.all(calls);
    assert.equal((await grpc.call(CALL)).status?.code, 0);
    assert.equal(fake.opened(), 2);
  });
});

describe('an answer that is not one message is a protocol error', () => {
  const compressed = framed(MESSAGE);
  compressed[0] = 1;
  const endless = framed(MESSAGE);
  endless.writeUInt32BE(0xffff_ffff, 1);
  const cases: [string, GrpcReply][] = [
    ['none', sent(Buffer.alloc(0))],
    ['half a prefix', sent(framed(MESSAGE).subarray(0, 4))],
    ['one that is shorter than it says', sent(framed(MESSAGE).subarray(0, -1))],
    ['one that is longer than it says', sent(Buffer.concat([framed(MESSAGE), Buffer.of(0)]))],
    ['one that says that it has four gigabytes', sent(endless)],
    ['two of them', sent(Buffer.concat([framed(MESSAGE), framed(MESSAGE)]))],
    ['a compressed one', sent(compressed)],
    ['no status', sent(framed(MESSAGE), { 'x-other': '0' })],
    ...['', '-1', 'ok', '1e0', '007', '0x0', '0, 0'].map((text): [string, GrpcReply] => [
      `a status of "${text}"`,
      sent(framed(MESSAGE), { 'grpc-status': text }),
    ]),
  ];
  for (const [title, reply] of cases) {
    test(title, async (t) => {
      const { grpc, fake } = await openBench(t, inTurn(reply, ECHO));
      await rejectsWith(grpc.call(CALL), 'protocol');
      assert.equal((await grpc.call(CALL)).status?.code, 0);
      assert.equal(fake.opened(), 1);
    });
  }
});

describe('a hostile server', () => {
  test('that sends without end is cut at a megabyte, and sees the reset', async (t) => {
    let sentBytes = 0;
    const flood: GrpcReply = ({ stream }) => {
      const chunk = Buffer.alloc(64 * 1024);
      const more = () => {
        while (!stream.destroyed) {
          sentBytes += chunk.length;
          if (!stream.write(chunk)) return void stream.once('drain', more);
        }
      };
      stream.respond(HEAD);
      more();
    };
    const { grpc, fake } = await openBench(t, inTurn(flood, ECHO));
    await assert.rejects(grpc.call(CALL), { code: 'protocol', message: /longer than 1048576 bytes/ });
    assert.equal(await fake.calls[0]?.ended, CANCEL);
    assert.ok(sentBytes < 64 * 1024 * 1024);
    assert.equal((await grpc.call(CALL)).status?.code, 0);
  });

  test('that sends a megabyte, prefix and all, is heard', async (t) => {
    const { grpc } = await openBench(t, answered(Buffer.alloc(1024 * 1024 - 5)));
    assert.equal((await grpc.call(CALL)).message?.length, 1024 * 1024 - 5);
  });

  test('is not heard when its headers are too many or too long, in the head or after the message', async (t) => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`x-${index}`, 'x']));
    const long = Object.fromEntries(
      Array.from({ length: 50 }, (_, index) => [`x-${index}`, 'x'.repeat(5_000)]),
    );
    const headersOf =
      (more: object): GrpcReply =>
      ({ stream }) =>
        stream.respond({ ...HEAD, 'grpc-status': '0', ...more }, { endStream: true });
    for (const reply of [
      headersOf(many),
      headersOf(long),
      sent(framed(MESSAGE), { 'grpc-status': '0', ...many }),
      sent(framed(MESSAGE), { 'grpc-status': '0', ...long }),
    ]) {
      const { grpc } = await openBench(t, reply, {}, { maxSendHeaderBlockLength: 1024 * 1024 });
      await rejectsWith(grpc.call(CALL), 'unreachable');
    }
  });

  test('whose headers never end is cut', async (t) => {
    const HEADERS = 1;
    const CONTINUATION = 9;
    const sockets = await openRaw(t, (socket) => {
      const field = Buffer.concat([Buffer.of(0, 1, 0x78, 100), Buffer.alloc(100, 0x78)]);
      socket.write(frame(HEADERS, 0, 1, field));
      const more = () => {
        while (!socket.destroyed) {
          if (!socket.write(frame(CONTINUATION, 0, 1, field))) return void socket.once('drain', more);
        }
      };
      more();
    });
    const grpc = openClient(t, sockets.url);
    await rejectsWith(grpc.call(CALL), 'unreachable');
    await eventually(sockets.open, (open) => open === 0);
  });

  test('that speaks no HTTP/2 behind its handshake is unreachable', async (t) => {
    const sockets = await openRaw(t, (socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), {
      preface: Buffer.alloc(0),
    });
    const grpc = openClient(t, sockets.url);
    await rejectsWith(grpc.call(CALL), 'unreachable');
    await eventually(sockets.open, (open) => open === 0);
  });

  test('that never shakes hands costs the deadline', async (t) => {
    const server = createServer((socket) => void socket.on('error', () => {}).resume());
    const url = await listening(t, server);
    await rejectsWith(openClient(t, url, { timeoutMs: 100 }).call(CALL), 'timeout');
  });

  test('that takes no message costs the deadline', async (t) => {
    const tls = { settings: { initialWindowSize: 0 } };
    const { grpc, fake } = await openBench(t, silent, { timeoutMs: 100 }, tls);
    await rejectsWith(grpc.call(CALL), 'timeout');
    await rejectsWith(grpc.call(CALL), 'timeout');
    await grpc.close();
    await eventually(fake.sockets, (open) => open === 0);
  });

  test('finds the macaroon in no error, though it sends it back', async (t) => {
    const replies: GrpcReply[] = [
      ({ stream }) => stream.close(2),
      sent(framed(MESSAGE), { 'grpc-status': SECRET }),
      sent(Buffer.from(SECRET)),
      ({ stream }) => stream.session?.goaway(2, 0, Buffer.from(SECRET)),
      ({ stream }) => stream.session?.destroy(),
    ];
    const { grpc } = await openBench(t, inTurn(...replies));
    for (const _ of replies) {
      await assert.rejects(grpc.call(CALL), (error) => {
        assert.ok(error instanceof NodeError);
        assert.ok(!inspect(error, { depth: 20, showHidden: true }).includes(SECRET));
        return true;
      });
    }
  });
});
