import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import fc from 'fast-check';
import { checkInvoice } from '../../../node/bolt11.ts';
import type { CircuitChange } from '../../../node/circuit-breaker.ts';
import { readAdded } from '../../../node/lnd/grpc.ts';
import { createLndNode, type LndOptions } from '../../../node/lnd.ts';
import { msat } from '../../../node/msat.ts';
import { NodeError } from '../../../node/node.ts';
import { rejectsWith } from '../../contract/node.contract.ts';
import { answered, type FakeGrpc, type GrpcReply, openGrpc, plain, refused } from './fake-grpc.ts';
import {
  type Answer,
  ASKED,
  base64,
  HASH,
  INFO,
  invoice,
  json,
  MACAROON,
  NOW_SEC,
  PAID_HASH,
  REQUEST,
  settled,
  withHttp,
  withTls,
} from './fake-lnd.ts';
import { readInvoice } from './simnet-grpc.ts';
import { TLS_CERT } from './tls.ts';

/** `lnrpc.GetStateResponse` with SERVER_ACTIVE. */
const ACTIVE = Buffer.from('0804', 'hex');
const NEVER: Answer = () => assert.fail('asked over REST');

type Work = (node: ReturnType<typeof createLndNode>, fake: FakeGrpc) => Promise<void>;

async function withLnd(
  reply: GrpcReply,
  work: Work,
  { rest = NEVER, ...options }: Partial<LndOptions> & { readonly rest?: Answer } = {},
): Promise<void> {
  const fake = await openGrpc(reply);
  try {
    await withHttp(rest, async (url) => {
      const node = createLndNode({
        url,
        grpcUrl: fake.url,
        tlsCertPem: TLS_CERT,
        macaroon: MACAROON,
        timeoutMs: 60_000,
        nowMs: () => NOW_SEC * 1000,
        ...options,
      });
      try {
        await work(node, fake);
      } finally {
        await node.close();
      }
    });
  } finally {
    await fake.close();
  }
}

/** `lnrpc.AddInvoiceResponse`, field by field. */
function response(hash: Uint8Array, paymentRequest: string): BinaryWriter {
  return new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .bytes(hash)
    .tag(2, WireType.LengthDelimited)
    .string(paymentRequest);
}

const HASH_BYTES = Buffer.from(HASH, 'hex');
/** As LND has it: with the index and the secret of the payment. */
const ADDED = response(HASH_BYTES, invoice({}))
  .tag(16, WireType.Varint)
  .uint64(7)
  .tag(17, WireType.LengthDelimited)
  .bytes(HASH_BYTES)
  .finish();

describe('a new invoice', () => {
  test('is asked for as lnrpc.Invoice has it, with the macaroon beside it', async () => {
    await withLnd(answered(ADDED), async (node, { calls }) => {
      const made = await node.createInvoice(REQUEST);
      assert.deepEqual(made, {
        bolt11: invoice({}),
        paymentHash: HASH,
        amountMsat: 10_000,
        expiresAtSec: NOW_SEC + 600,
      });
      checkInvoice(made, ASKED);
      const [{ path, headers, message } = assert.fail()] = calls;
      assert.equal(path, '/lnrpc.Lightning/AddInvoice');
      assert.equal(headers['macaroon'], MACAROON);
      // memo (1), expiry (11), value_msat (23): written by hand from the encoding of Protocol Buffers.
      assert.equal(message.toString('hex'), '0a0571756f7465' + '58d804' + 'b801904e');
    });
  });

  test('may have a description hash, hints, the largest amount and any memo', async () => {
    const descriptionHash = 'cd'.repeat(32);
    const memo = `☕ ${'é'.repeat(300)} 🚀`;
    const work: Work = async (node, { calls }) => {
      const amountMsat = msat(Number.MAX_SAFE_INTEGER);
      await node.createInvoice({ memo, amountMsat, expirySec: 31_536_000, descriptionHash });
      assert.deepEqual(readInvoice(calls[0]?.message ?? assert.fail()), {
        memo,
        description_hash: base64(descriptionHash),
        expiry: '31536000',
        private: true,
        value_msat: '9007199254740991',
      });
    };
    await withLnd(answered(ADDED), work, { privateHints: true });
  });

  test('with a description hash that is none is rejected, and nothing is sent', async () => {
    await withLnd(answered(ADDED), async (node, { opened }) => {
      for (const descriptionHash of ['', 'cd', 'CD'.repeat(32), 'x'.repeat(64)]) {
        await rejectsWith(node.createInvoice({ ...REQUEST, descriptionHash }), 'rejected');
      }
      assert.equal(opened(), 0);
    });
  });

  test('for a time that is no whole number of seconds is rejected, and nothing is sent', async () => {
    await withLnd(answered(ADDED), async (node, { opened }) => {
      for (const expirySec of [1.5, Number.NaN, 2 ** 70, 0, -1]) {
        await rejectsWith(node.createInvoice({ ...REQUEST, expirySec }), 'rejected');
      }
      assert.equal(opened(), 0);
    });
  });

  test('that a caller does not wait for is a timeout, and its place is free again', async () => {
    const replies: GrpcReply[] = [() => {}, answered(ADDED)];
    const work: Work = async (node, fake) => {
      const giveUp = new AbortController();
      const given = node.createInvoice(REQUEST, { signal: giveUp.signal });
      await fake.nth(1);
      await rejectsWith(node.createInvoice(REQUEST), 'busy');
      giveUp.abort();
      await rejectsWith(given, 'timeout');
      await node.createInvoice(REQUEST);
    };
    await withLnd((call) => replies.shift()?.(call), work, { concurrency: 1 });
  });

  test('with another hash, amount, network, description or life than asked is a bad invoice', async () => {
    const cases: [Uint8Array, RegExp][] = [
      [response(Buffer.alloc(32, 0xcd), invoice({})).finish(), /payment hash/],
      [response(HASH_BYTES, invoice({ amountMsat: msat(20_000) })).finish(), /amount/],
      [response(HASH_BYTES, invoice({ network: 'mainnet' })).finish(), /network/],
      [response(HASH_BYTES, invoice({ memo: 'another' })).finish(), /description/],
      [response(HASH_BYTES, invoice({ descriptionHash: 'cd'.repeat(32) })).finish(), /description hash/],
      [response(HASH_BYTES, invoice({ expirySec: 5_000 })).finish(), /expiry/],
    ];
    for (const [message, names] of cases) {
      await withLnd(answered(message), async (node) => {
        const made = await node.createInvoice(REQUEST);
        assert.throws(() => checkInvoice(made, ASKED), { code: 'bad-invoice', message: names });
      });
    }
  });

  test('that is garbage is a bad invoice', async () => {
    for (const text of ['x', 'lnbcrt1', '\u0000', '\ufffd'.repeat(100)]) {
      await withLnd(answered(response(HASH_BYTES, text).finish()), (node) =>
        rejectsWith(node.createInvoice(REQUEST), 'bad-invoice'),
      );
    }
  });
});

describe('the answer to a new invoice', () => {
  const isProtocol = (error: unknown) => error instanceof NodeError && error.code === 'protocol';
  const text = 'lnbcrt1';

  test('may have fields that nobody knows, in any order, and its own twice: the last one counts', () => {
    const message = Buffer.concat([
      new BinaryWriter().tag(100, WireType.LengthDelimited).bytes(Buffer.alloc(300)).finish(),
      response(Buffer.alloc(32), 'lnbc1').finish(),
      new BinaryWriter().tag(7, WireType.Bit64).fixed64(1).tag(8, WireType.Bit32).fixed32(1).finish(),
      new BinaryWriter().tag(9, WireType.StartGroup).tag(1, WireType.Varint).bool(true).finish(),
      new BinaryWriter().tag(9, WireType.EndGroup).finish(),
      new BinaryWriter().tag(2, WireType.LengthDelimited).string(text).finish(),
      new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(HASH_BYTES).finish(),
    ]);
    assert.deepEqual(readAdded(message), { paymentHash: HASH, paymentRequest: text });
  });

  const damaged: [string, Uint8Array][] = [
    ['nothing', new Uint8Array()],
    ['no hash', new BinaryWriter().tag(2, WireType.LengthDelimited).string(text).finish()],
    ['no invoice', new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(HASH_BYTES).finish()],
    ['an empty invoice', response(HASH_BYTES, '').finish()],
    ['an invoice of 8,193 characters', response(HASH_BYTES, 'l'.repeat(8_193)).finish()],
    ['a hash of 31 bytes', response(HASH_BYTES.subarray(1), text).finish()],
    ['a hash of 33 bytes', response(Buffer.alloc(33), text).finish()],
    ['the hash in hex', response(Buffer.from(HASH), text).finish()],
    [
      'a hash that is a number',
      Buffer.concat([Buffer.of(8, 1), response(HASH_BYTES, text).finish().subarray(34)]),
    ],
    [
      'an invoice that is a number',
      Buffer.concat([response(HASH_BYTES, '').finish().subarray(0, 34), Buffer.of(16, 1)]),
    ],
    ['field 0', Buffer.concat([response(HASH_BYTES, text).finish(), Buffer.of(0, 0)])],
    ['a wire type that is none', Buffer.concat([response(HASH_BYTES, text).finish(), Buffer.of(0x1f)])],
    ['a group that never ends', Buffer.concat([response(HASH_BYTES, text).finish(), Buffer.of(0x1b)])],
    ['groups in groups, a megabyte of them', Buffer.alloc(1024 * 1024, 0x1b)],
    ['a number that never ends', Buffer.concat([Buffer.of(0x18), Buffer.alloc(20, 0xff)])],
    ['a length of four gigabytes', Buffer.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f)],
    ['a length beyond 32 bits', Buffer.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f)],
    ['JSON', Buffer.from(JSON.stringify({ r_hash: base64(HASH), payment_request: text }))],
  ];
  for (const [title, message] of damaged) {
    test(`with ${title} is a protocol error`, () => assert.throws(() => readAdded(message), isProtocol));
  }

  test('cut short anywhere in its invoice or before is a protocol error', () => {
    const message = response(HASH_BYTES, text).finish();
    for (let length = 0; length < message.length; length += 1) {
      assert.throws(() => readAdded(message.subarray(0, length)), isProtocol, `${length} bytes`);
    }
  });

  test('may have an invoice of 8,192 characters', () => {
    const paymentRequest = 'l'.repeat(8_192);
    assert.equal(readAdded(response(HASH_BYTES, paymentRequest).finish()).paymentRequest, paymentRequest);
  });

  test('that is damaged is said to the caller as a protocol error', async () => {
    await withLnd(answered(Buffer.of(0xff)), (node) => rejectsWith(node.createInvoice(REQUEST), 'protocol'));
  });

  test('is read or refused, whatever comes', () => {
    const readOrRefused = (message: Uint8Array) => {
      try {
        const { paymentHash, paymentRequest } = readAdded(message);
        assert.match(paymentHash, /^[0-9a-f]{64}$/);
        assert.ok(paymentRequest.length >= 1 && paymentRequest.length <= 8_192);
      } catch (error) {
        assert.ok(isProtocol(error), String(error));
      }
    };
    const change = fc.record({ at: fc.nat(), bytes: fc.uint8Array({ maxLength: 4 }), drop: fc.nat(3) });
    const mutated = fc.array(change, { maxLength: 4 }).map((changes) =>
      changes.reduce<Buffer>((message, { at, bytes, drop }) => {
        const from = at % (message.length + 1);
        return Buffer.concat([message.subarray(0, from), bytes, message.subarray(from + drop)]);
      }, Buffer.from(ADDED)),
    );
    const fields = fc.array(
      fc
        .tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 40 }))
        .map(([tag, bytes]) => Buffer.concat([Buffer.of(tag, bytes.length), bytes])),
      { maxLength: 6 },
    );
    const any = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      mutated,
      fields.map((list) => Buffer.concat(list)),
    );
    fc.assert(fc.property(any, readOrRefused), { numRuns: 2_000 });
  });
});

describe('errors of LND', () => {
  const cases: [string, GrpcReply, NodeError['code']][] = [
    ['no right', refused(7, 'permission denied'), 'unauthorized'],
    ['not known', refused(16, 'who are you'), 'unauthorized'],
    [
      'a wrong macaroon',
      refused(2, 'verification failed: signature mismatch after caveat verification'),
      'unauthorized',
    ],
    ['no macaroon', refused(2, 'expected 1 macaroon, got 0'), 'unauthorized'],
    ['a locked wallet', refused(2, 'wallet locked, unlock it to enable full RPC access'), 'not-ready'],
    [
      'starting',
      refused(2, 'the RPC server is in the process of starting up, but not yet ready to accept calls'),
      'not-ready',
    ],
    ['not available', refused(14, 'transport is closing'), 'not-ready'],
    ['a service that is not there yet', refused(12, 'unknown service lnrpc.Lightning'), 'not-ready'],
    ['a proxy without a node behind it', plain(502, 'text/html', 'Bad Gateway'), 'not-ready'],
    ['a deadline that was over', refused(4, 'context deadline exceeded'), 'timeout'],
    ['a refusal', refused(2, 'memo too large: 2000 bytes (maxsize=1024)'), 'rejected'],
    ['too much', refused(8, 'too many'), 'rejected'],
    ['a web server', plain(404, 'text/html', '<html>'), 'protocol'],
    ['a friendly web server', plain(200, 'text/html', '<html>'), 'protocol'],
    ['a status that is none', refused('ok'), 'protocol'],
  ];
  for (const [title, reply, code] of cases) {
    test(`${title}: ${code}`, () =>
      withLnd(
        reply,
        async (node) => {
          await rejectsWith(node.createInvoice(REQUEST), code);
          await rejectsWith(node.info(), code);
        },
        { rest: INFO },
      ));
  }

  test('repeat what LND said in one printable line', async () => {
    await withLnd(refused(2, 'memo%0A%1B[31m%00too large %E2%98%95!'), (node) =>
      assert.rejects(node.createInvoice(REQUEST), {
        code: 'rejected',
        message: 'LND refused a new invoice: memo [31m too large  !.',
      }),
    );
  });

  test('never repeat the macaroon, even when LND does', async () => {
    const macaroon = 'ab'.repeat(100);
    const encoded = macaroon.replace(/./g, (digit) => `%${digit.charCodeAt(0).toString(16)}`);
    for (const text of [macaroon, encoded, macaroon.toUpperCase()]) {
      for (const code of [2, 4, 14, 16]) {
        await withLnd(
          refused(code, `denied: ${text}`),
          (node) =>
            assert.rejects(node.createInvoice(REQUEST), (error) => {
              assert.ok(error instanceof NodeError);
              const shown = `${error.message} ${error.stack} ${String(error.cause)}`.toLowerCase();
              assert.ok(!shown.includes(macaroon) && !shown.includes('abababab'));
              return true;
            }),
          { macaroon },
        );
      }
    }
  });
});

describe('info', () => {
  test('asks REST who the node is, and gRPC whether it is there: LND tells its state to anybody', async () => {
    await withLnd(
      answered(ACTIVE),
      async (node, { calls }) => {
        assert.equal((await node.info()).alias, 'alice');
        const [{ path, message } = assert.fail()] = calls;
        assert.deepEqual([path, message.length], ['/lnrpc.State/GetState', 0]);
      },
      { rest: INFO },
    );
  });

  test('fails when gRPC is away though REST is there, and names the address', async () => {
    const gone = await openGrpc(answered(ACTIVE));
    await gone.close();
    const address = `127.0.0.1:${gone.port}`;
    await withLnd(
      answered(ACTIVE),
      (node) =>
        assert.rejects(node.info(), (error) => {
          assert.ok(error instanceof NodeError && error.code === 'unreachable');
          assert.ok(error.message.includes(address), error.message);
          return true;
        }),
      { rest: INFO, grpcUrl: gone.url },
    );
  });

  test('fails when the gRPC address is the one of REST, and names the setting', async () => {
    await withTls(INFO, async (url) => {
      const node = createLndNode({ url, grpcUrl: url, macaroon: MACAROON, tlsCertPem: TLS_CERT });
      await assert.rejects(node.info(), { code: 'protocol', message: /node\.grpcUrl/ });
      await node.close();
    });
  });

  test('fails when REST is away though gRPC is there', async () => {
    await withLnd(answered(ACTIVE), (node) => rejectsWith(node.info(), 'unreachable'), {
      rest: (request) => void request.socket.destroy(),
    });
  });

  test('a gRPC URL that is none is refused at once', () => {
    for (const grpcUrl of ['http://h:10009', 'h:10009', '']) {
      assert.throws(() => createLndNode({ url: 'https://h:8080', grpcUrl, macaroon: MACAROON }), {
        name: 'NodeError',
        code: 'unreachable',
      });
    }
  });
});

describe('an LND that does not answer at one of its addresses', () => {
  test('is left alone there only; each is announced, and the end when both answer again', async () => {
    let rest: 'cut' | 'serve' = 'serve';
    let grpc: 'cut' | 'serve' = 'serve';
    let monotonicMs = 0;
    const changes: CircuitChange['kind'][] = [];
    const options = {
      rest: ((request, answer, body) => {
        if (rest === 'cut') request.socket.resetAndDestroy();
        else json(200, settled({}))(request, answer, body);
      }) satisfies Answer,
      circuit: { failures: 2, firstPauseMs: 1_000 },
      monotonicMs: () => monotonicMs,
      random: () => 0,
      onCircuit: ({ kind }: CircuitChange) => void changes.push(kind),
    };
    const reply: GrpcReply = (call) => {
      if (grpc === 'cut') call.stream.session?.destroy();
      else answered(ADDED)(call);
    };
    const work: Work = async (node, { calls }) => {
      const make = () => node.createInvoice(REQUEST);
      const look = () => node.lookupInvoice(PAID_HASH);
      grpc = 'cut';
      await rejectsWith(make(), 'unreachable');
      await rejectsWith(make(), 'unreachable');
      assert.deepEqual(changes, ['opened']);
      await assert.rejects(make(), { code: 'unreachable', message: /not asked at the moment/ });
      assert.equal(calls.length, 2, 'nothing was sent');
      assert.equal((await look())?.kind, 'settled');

      rest = 'cut';
      await rejectsWith(look(), 'unreachable');
      await rejectsWith(look(), 'unreachable');
      assert.deepEqual(changes, ['opened', 'opened']);

      monotonicMs += 1_000;
      grpc = 'serve';
      await assert.rejects(make(), { code: 'unreachable', message: /not asked at the moment/ });
      assert.equal(calls.length, 2, 'what is paid could not be seen: nothing is sold');
      rest = 'serve';
      await look();
      assert.deepEqual(changes, ['opened', 'opened'], 'gRPC is still away');
      await make();
      assert.deepEqual(changes, ['opened', 'opened', 'closed']);

      grpc = 'cut';
      await rejectsWith(make(), 'unreachable');
      await rejectsWith(make(), 'unreachable');
      monotonicMs += 1_000;
      grpc = 'serve';
      await make();
      assert.deepEqual(changes, ['opened', 'opened', 'closed', 'opened', 'closed']);
    };
    await withLnd(reply, work, options);
  });

  test('is not left alone for what it says: a refusal and nonsense are answers', async () => {
    const replies = [refused(2, 'no'), plain(200, 'text/html', ''), answered(Buffer.of(0xff))];
    let count = 0;
    const work: Work = async (node) => {
      for (let round = 0; round < 4; round += 1) {
        await rejectsWith(node.createInvoice(REQUEST), 'rejected');
        await rejectsWith(node.createInvoice(REQUEST), 'protocol');
        await rejectsWith(node.createInvoice(REQUEST), 'protocol');
      }
      assert.equal(count, 12);
    };
    await withLnd((call) => replies[count++ % 3]?.(call), work, {
      circuit: { failures: 1 },
      onCircuit: () => assert.fail('left alone'),
    });
  });
});
