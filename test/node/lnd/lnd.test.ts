import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { checkInvoice, signInvoice } from '../../../node/bolt11.ts';
import { createLndNode, type LndOptions } from '../../../node/lnd.ts';
import { msat } from '../../../node/msat.ts';
import { NodeError } from '../../../node/node.ts';
import { rejectsWith, take } from '../../contract/node.contract.ts';
import { OTHER_TLS_CERT, TLS_CERT, TLS_KEY } from './tls.ts';

/*
 * A node that answers whatever a test wants, over real sockets. Forms are those of LND 0.21.2 (protojson puts a blank after
 * a colon or comma at times; grpc-gateway sends the head of a stream with its first message).
 */

const MACAROON = '0201036c6e64deadbeef';
const KEY = Buffer.alloc(32, 7);
const HASH = 'ab'.repeat(32);
const PREIMAGE = '11'.repeat(32);
const PAID_HASH = createHash('sha256').update(Buffer.from(PREIMAGE, 'hex')).digest('hex');
const NOW_SEC = 1_800_000_000;
const REQUEST = { amountMsat: msat(10_000), memo: 'quote', expirySec: 600 };
const ASKED = { amountMsat: msat(10_000), network: 'regtest', nowSec: NOW_SEC } as const;
const PAY = { maxFeeMsat: msat(0), timeoutMs: 5_000 };

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

describe('a hostile or broken node', () => {
  test('an invoice with another hash, amount, network or life is a bad invoice', async () => {
    const cases: [object, object, RegExp][] = [
      [{}, { r_hash: base64('cd'.repeat(32)) }, /payment hash/],
      [{ amountMsat: msat(20_000) }, {}, /amount/],
      [{ network: 'mainnet' }, {}, /network/],
      [{ expirySec: 5_000 }, {}, /expiry/],
    ];
    for (const [terms, change, names] of cases) {
      const answer = json(200, { ...addInvoiceAnswer(terms), ...change });
      await withNode(answer, async (node) => {
        const invoice = await node.createInvoice(REQUEST);
        assert.throws(() => checkInvoice(invoice, ASKED), { code: 'bad-invoice', message: names });
      });
    }
  });

  test('garbage in place of an invoice is a bad invoice', async () => {
    await withNode(json(200, { r_hash: base64(HASH), payment_request: 'x' }), async (node) => {
      await rejectsWith(node.createInvoice(REQUEST), 'bad-invoice');
    });
  });

  test('answers that are not LND’s are a protocol error', async () => {
    const answers: Answer[] = [
      json(200, {}),
      json(200, []),
      json(200, { r_hash: 'short', payment_request: 'lnbc' }),
      (_request, response) => void response.end('<html>'),
      (_request, response) => void response.end(),
      json(404, 'nginx'),
    ];
    for (const answer of answers) {
      await withNode(answer, (node) => rejectsWith(node.createInvoice(REQUEST), 'protocol'));
    }
  });

  test('a body without end is cut at a megabyte', async () => {
    let sent = 0;
    const flood: Answer = (_request, response) => {
      const chunk = Buffer.alloc(64 * 1024, 'x');
      const more = () => {
        while (!response.destroyed) {
          sent += chunk.length;
          if (!response.write(chunk)) {
            response.once('drain', more);
            return;
          }
        }
      };
      more();
    };
    await withNode(flood, async (node) => {
      await rejectsWith(node.createInvoice(REQUEST), 'protocol');
      await rejectsWith(node.info(), 'protocol');
      await rejectsWith(take(node, 5, 1), 'protocol');
      await rejectsWith(node.lookupPayment(HASH), 'protocol');
    });
    assert.ok(sent < 200 * 1024 * 1024);
  });

  test('a body that drips is cut by the deadline', async () => {
    const drip: Answer = (_request, response) => {
      const timer = setInterval(() => response.write(' '), 5);
      response.once('close', () => clearInterval(timer));
    };
    await withNode(drip, (node) => rejectsWith(node.createInvoice(REQUEST), 'timeout'), { timeoutMs: 100 });
  });

  test('silence is a timeout, of every call', async () => {
    await withNode(
      () => {},
      async (node) => {
        await rejectsWith(node.info(), 'timeout');
        await rejectsWith(node.createInvoice(REQUEST), 'timeout');
        await rejectsWith(node.lookupInvoice(HASH), 'timeout');
        await rejectsWith(node.cancelInvoice(HASH), 'timeout');
        await rejectsWith(node.lookupPayment(HASH), 'timeout');
        await rejectsWith(node.balanceMsat(), 'timeout');
        await rejectsWith(node.history(1), 'timeout');
        const bolt11 = invoice({});
        assert.deepEqual(await node.payInvoice(bolt11, { ...PAY, timeoutMs: 50 }), { kind: 'in-flight' });
      },
      { timeoutMs: 50 },
    );
  });

  test('a connection that breaks mid-answer is unreachable', async () => {
    const cut: Answer = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{"r_h', () => response.destroy());
    };
    await withNode(cut, async (node) => {
      await rejectsWith(node.createInvoice(REQUEST), 'unreachable');
      await rejectsWith(take(node, 5, 1), 'unreachable');
    });
  });

  test('an answer about another hash is not believed', async () => {
    await withNode(json(200, settled({ r_hash: base64('cd'.repeat(32)) })), async (node) => {
      await rejectsWith(node.lookupInvoice(HASH), 'protocol');
    });
    await withNode(lines({ result: payment({ payment_preimage: '22'.repeat(32) }) }), async (node) => {
      await rejectsWith(node.lookupPayment(PAID_HASH), 'protocol');
    });
  });

  test('no error repeats the macaroon, even when the node does', async () => {
    const long = 'ab'.repeat(100);
    const echo: Answer = (request, response) => {
      const message = `denied \u001b[31m ${request.headers['grpc-metadata-macaroon']}`;
      response.writeHead(500).end(JSON.stringify({ code: 2, message }));
    };
    await withNode(
      echo,
      (node) =>
        assert.rejects(node.createInvoice(REQUEST), (error) => {
          assert.ok(error instanceof NodeError);
          assert.ok(!`${error.message} ${error.stack}`.includes(long));
          assert.ok(!error.message.includes('\u001b'));
          return true;
        }),
      { macaroon: long },
    );
  });
});

describe('errors of LND', () => {
  const cases: [string, Answer, NodeError['code']][] = [
    ['a locked wallet', status(2, 'wallet locked, unlock it to enable full RPC access'), 'not-ready'],
    ['no wallet', status(2, 'wallet not created, create one to enable full RPC access'), 'not-ready'],
    [
      'starting',
      status(2, 'the RPC server is in the process of starting up, but not yet ready to accept calls'),
      'not-ready',
    ],
    ['a path that is not served yet', status(5, 'Not Found', 404), 'not-ready'],
    ['a proxy without a node behind it', json(502, 'Bad Gateway'), 'not-ready'],
    [
      'a wrong macaroon',
      status(2, 'verification failed: signature mismatch after caveat verification'),
      'unauthorized',
    ],
    ['no macaroon', status(2, 'expected 1 macaroon, got 0'), 'unauthorized'],
    ['a macaroon without the right', status(2, 'permission denied'), 'unauthorized'],
    ['an expired macaroon', status(16, 'macaroon has expired'), 'unauthorized'],
    ['a refusal', status(2, 'memo too large: 2000 bytes (maxsize=1024)'), 'rejected'],
  ];
  for (const [title, answer, code] of cases) {
    test(`${title}: ${code}`, () =>
      withNode(answer, async (node) => {
        await rejectsWith(node.createInvoice(REQUEST), code);
        await rejectsWith(node.lookupInvoice(HASH), code);
      }));
  }

  test('another network than configured is said', async () => {
    const info = {
      identity_pubkey: `02${'ab'.repeat(32)}`,
      alias: 'alice',
      block_height: 800_000,
      synced_to_chain: false,
      chains: [{ chain: 'bitcoin', network: 'mainnet' }],
    };
    await withNode(json(200, info), async (node) => {
      await rejectsWith(node.info(), 'wrong-network');
    });
    await withNode(
      json(200, info),
      async (node) => {
        assert.partialDeepStrictEqual(await node.info(), { network: 'mainnet', synced: false });
      },
      { network: 'mainnet' },
    );
  });

  test('states of an invoice: accepted is open, cancelled is expired once its time is over', async () => {
    const state = (fields: object) =>
      json(200, { creation_date: `${NOW_SEC - 100}`, expiry: '600', ...fields });
    const expect = (answer: Answer, kind: string) =>
      withNode(answer, async (node) => assert.equal((await node.lookupInvoice(HASH))?.kind, kind));
    await expect(state({ state: 'OPEN' }), 'open');
    await expect(state({ state: 'ACCEPTED' }), 'open');
    await expect(state({ state: 'CANCELED' }), 'cancelled');
    await expect(state({ state: 'CANCELED', expiry: '100' }), 'expired');
  });

  test('what is no payment hash never becomes part of a URL', async () => {
    await withNode(json(200, {}), async (node, seen) => {
      await rejectsWith(node.lookupInvoice('../getinfo'), 'rejected');
      await rejectsWith(node.lookupPayment('A'.repeat(64)), 'rejected');
      assert.equal(seen.length, 0);
    });
  });

  test('over the bound on requests under way: busy', async () => {
    const held: ServerResponse[] = [];
    const arrived = Promise.withResolvers<void>();
    const hold: Answer = (_request, response) => {
      held.push(response);
      if (held.length === 2) arrived.resolve();
    };
    await withNode(
      hold,
      async (node) => {
        const calls = [node.createInvoice(REQUEST), node.createInvoice(REQUEST)];
        await arrived.promise;
        await rejectsWith(node.createInvoice(REQUEST), 'busy');
        for (const response of held) response.end(JSON.stringify(addInvoiceAnswer({})));
        assert.equal((await Promise.all(calls)).length, 2);
      },
      { concurrency: 2 },
    );
  });

  test('a caller that gives up frees its place', async () => {
    await withNode(
      () => {},
      async (node) => {
        for (let round = 0; round < 3; round += 1) {
          const giveUp = new AbortController();
          const call = node.createInvoice(REQUEST, { signal: giveUp.signal });
          giveUp.abort();
          await rejectsWith(call, 'timeout');
        }
      },
      { concurrency: 1 },
    );
  });
});

describe('the feed', () => {
  test('added invoices, AMP invoices and repeated settlements are passed over', async () => {
    const feed = lines(
      { result: { state: 'OPEN', memo: '"state": "SETTLED"' } },
      { result: settled({ settle_index: '6' }) },
      { result: settled({ settle_index: '6' }) },
      { result: { ...settled({ settle_index: '0', r_preimage: '' }), is_amp: true } },
      { result: settled({ settle_index: '7' }) },
    );
    await withNode(feed, async (node, seen) => {
      const taken = await take(node, 5, 2);
      assert.deepEqual(
        taken.map(({ cursor, paymentHash, preimage }) => [cursor, paymentHash, preimage]),
        [
          [6, PAID_HASH, PREIMAGE],
          [7, PAID_HASH, PREIMAGE],
        ],
      );
      assert.deepEqual(seen, ['GET /v1/invoices/subscribe?settle_index=5']);
    });
  });

  test('an error in the stream, or its end, ends the feed with an error', async () => {
    const shutdown = lines({ error: { code: 14, message: 'server is shutting down', details: [] } });
    await withNode(shutdown, (node) => rejectsWith(take(node, 5, 1), 'not-ready'));
    await withNode(lines(), (node) => rejectsWith(take(node, 5, 1), 'unreachable'));
    const broken = lines({ result: { state: 'SETTLED', r_hash: 'x' } });
    await withNode(broken, (node) => rejectsWith(take(node, 5, 1), 'protocol'));
  });

  test('from the beginning: settlement 1 from the list, then what follows it', async () => {
    const one = settled({ settle_index: '1', add_index: '2' });
    const answer: Answer = (request, response, body) => {
      const url = request.url ?? '';
      if (url.startsWith('/v1/invoices/subscribe')) {
        lines({ result: settled({ settle_index: '2' }) })(request, response, body);
      } else if (url.includes('index_offset=0')) {
        const open = { state: 'OPEN', settle_index: '0' };
        json(200, { invoices: [open], last_index_offset: '1' })(request, response, body);
      } else json(200, { invoices: [one], last_index_offset: '2' })(request, response, body);
    };
    await withNode(answer, async (node, seen) => {
      const taken = await take(node, 0, 2);
      assert.deepEqual(
        taken.map((settlement) => settlement.cursor),
        [1, 2],
      );
      assert.equal(seen.at(-1), 'GET /v1/invoices/subscribe?settle_index=1');
    });
  });

  test('what settled between the list and the subscription is found by its first event', async () => {
    let lists = 0;
    const answer: Answer = (request, response, body) => {
      const url = request.url ?? '';
      if (url.includes('settle_index=0')) {
        // Stands after settlement 1 happened, so LND will never send it here; and never ends.
        response.write(`${JSON.stringify({ result: { state: 'OPEN' } })}\n`);
      } else if (url.startsWith('/v1/invoices/subscribe')) {
        lines({ result: settled({ settle_index: '2' }) })(request, response, body);
      } else {
        lists += 1;
        const page = url.includes('index_offset=0') && lists > 1 ? [settled({ settle_index: '1' })] : [];
        json(200, { invoices: page, last_index_offset: String(page.length) })(request, response, body);
      }
    };
    await withNode(answer, async (node) => {
      const taken = await take(node, 0, 2);
      assert.deepEqual(
        taken.map((settlement) => settlement.cursor),
        [1, 2],
      );
    });
  });
});

describe('paying', () => {
  test('LND is asked for the invoice, with fee limit and time, and for nothing it does not know', async () => {
    let asked = '';
    const bolt11 = invoice({ paymentHash: PAID_HASH });
    const answer: Answer = (request, response, body) => {
      asked = body;
      lines({ result: payment({ status: 'IN_FLIGHT' }) }, { result: payment({}) })(request, response, body);
    };
    await withNode(answer, async (node) => {
      const paid = await node.payInvoice(bolt11, { maxFeeMsat: msat(1_234), timeoutMs: 1_500 });
      assert.deepEqual(paid, { kind: 'succeeded', preimage: PREIMAGE, amountMsat: 10_000, feeMsat: 3 });
    });
    assert.deepEqual(JSON.parse(asked), {
      payment_request: bolt11,
      fee_limit_msat: '1234',
      timeout_seconds: 2,
      no_inflight_updates: true,
    });
  });

  test('a connection that breaks while paying leads to a look-up, never to a second payment', async () => {
    await withNode(
      (request, response, body) => {
        if (request.method === 'POST') request.socket.destroy();
        else lines({ result: payment({ status: 'IN_FLIGHT' }) })(request, response, body);
      },
      async (node, seen) => {
        const state = await node.payInvoice(invoice({ paymentHash: PAID_HASH }), PAY);
        assert.deepEqual(state, { kind: 'in-flight' });
        assert.equal(seen.filter((line) => line.startsWith('POST')).length, 1);
      },
    );
  });

  test('already paid by this node: the payment that was made is the answer', async () => {
    await withNode(
      (request, response, body) => {
        if (request.method !== 'POST') lines({ result: payment({}) })(request, response, body);
        else
          json(409, { error: { code: 6, message: 'invoice is already paid', details: [] } })(
            request,
            response,
            body,
          );
      },
      async (node, seen) => {
        const state = await node.payInvoice(invoice({ paymentHash: PAID_HASH }), PAY);
        assert.ok(state.kind === 'succeeded' && state.preimage === PREIMAGE);
        const tracked = `GET /v2/router/track/${Buffer.from(PAID_HASH, 'hex').toString('base64url')}=`;
        assert.ok(seen[1]?.startsWith(tracked));
      },
    );
  });

  test('a locked node or a bad macaroon is an error, not a failed payment', async () => {
    const bolt11 = invoice({});
    await withNode(status(2, 'wallet locked, unlock it to enable full RPC access'), (node) =>
      rejectsWith(node.payInvoice(bolt11, PAY), 'not-ready'),
    );
    await withNode(status(2, 'permission denied'), (node) =>
      rejectsWith(node.payInvoice(bolt11, PAY), 'unauthorized'),
    );
  });
});

describe('TLS', () => {
  const info = json(200, {
    identity_pubkey: `02${'ab'.repeat(32)}`,
    alias: 'alice',
    block_height: 1,
    synced_to_chain: true,
    chains: [{ chain: 'bitcoin', network: 'regtest' }],
  });

  test('the pinned certificate is accepted, whatever name it bears', async () => {
    await withNode(info, async (node) => assert.equal((await node.info()).alias, 'alice'), {
      tlsCertPem: TLS_CERT,
    });
  });

  test('any other certificate is refused, and so is one that nobody pinned', async () => {
    await withTls(info, async (url) => {
      for (const pin of [{ tlsCertPem: OTHER_TLS_CERT }, {}]) {
        const node = createLndNode({ url, macaroon: MACAROON, ...pin });
        await rejectsWith(node.info(), 'unreachable');
        await node.close();
      }
    });
  });

  test('a pin or a URL that is none is refused at once', () => {
    const refused = { name: 'NodeError', code: 'unreachable' };
    assert.throws(() => createLndNode({ url: 'https://h:1', macaroon: MACAROON, tlsCertPem: 'x' }), refused);
    assert.throws(() => createLndNode({ url: 'ftp://h', macaroon: MACAROON }), refused);
    assert.throws(() => createLndNode({ url: 'h:8080', macaroon: MACAROON }), refused);
  });
});

test('nobody there is unreachable', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const node = createLndNode({ url: `http://127.0.0.1:${port}`, macaroon: MACAROON });
  await rejectsWith(node.createInvoice(REQUEST), 'unreachable');
  await rejectsWith(node.payInvoice(invoice({}), PAY), 'unreachable');
  await rejectsWith(take(node, 0, 1), 'unreachable');
  await node.close();
});

function invoice(terms: object): string {
  return signInvoice(
    {
      network: 'regtest',
      amountMsat: msat(10_000),
      paymentHash: HASH,
      paymentSecret: 'b2'.repeat(32),
      memo: 'quote',
      timestampSec: NOW_SEC,
      expirySec: 600,
      ...terms,
    },
    KEY,
  );
}

function addInvoiceAnswer(terms: object) {
  return {
    r_hash: base64(HASH),
    payment_request: invoice(terms),
    add_index: '1',
    payment_addr: base64(HASH),
  };
}

function settled(change: object) {
  return {
    memo: 'quote',
    state: 'SETTLED',
    r_hash: base64(PAID_HASH),
    r_preimage: base64(PREIMAGE),
    amt_paid_msat: '10000',
    settle_date: String(NOW_SEC),
    settle_index: '1',
    is_amp: false,
    ...change,
  };
}

function payment(change: object) {
  return {
    payment_hash: PAID_HASH,
    payment_preimage: PREIMAGE,
    value_msat: '10000',
    fee_msat: '3',
    status: 'SUCCEEDED',
    failure_reason: 'FAILURE_REASON_NONE',
    payment_request: '',
    creation_time_ns: '1800000000000000000',
    htlcs: [],
    ...change,
  };
}

function json(code: number, body: unknown): Answer {
  return (_request, response) => void response.writeHead(code).end(spaced(body));
}

function status(code: number, message: string, http = 500): Answer {
  return json(http, { code, message, details: [] });
}

function lines(...messages: object[]): Answer {
  return (_request, response) =>
    void response.end(messages.map((message) => `${spaced(message)}\n`).join(''));
}

/** JSON as protojson writes it in half of its builds. */
function spaced(body: unknown): string {
  return JSON.stringify(body, null, 1).replace(/\n\s*/g, ' ');
}

function base64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}

type Work = (node: ReturnType<typeof createLndNode>, seen: string[]) => Promise<void>;

async function withNode(answer: Answer, work: Work, options: Partial<LndOptions> = {}): Promise<void> {
  const seen: string[] = [];
  const listen: Answer = (request, response, body) => {
    seen.push(`${request.method} ${request.url}`);
    answer(request, response, body);
  };
  const run = async (url: string) => {
    const nowMs = () => NOW_SEC * 1000;
    const node = createLndNode({
      url,
      macaroon: MACAROON,
      network: 'regtest',
      timeoutMs: 10_000,
      nowMs,
      ...options,
    });
    try {
      await work(node, seen);
    } finally {
      await node.close();
    }
  };
  await (options.tlsCertPem === undefined ? withHttp(listen, run) : withTls(listen, run));
}

function withHttp(answer: Answer, run: (url: string) => Promise<void>): Promise<void> {
  return withServer(createServer(collect(answer)), 'http', run);
}

function withTls(answer: Answer, run: (url: string) => Promise<void>): Promise<void> {
  return withServer(createTlsServer({ cert: TLS_CERT, key: TLS_KEY }, collect(answer)), 'https', run);
}

async function withServer(
  server: ReturnType<typeof createServer>,
  scheme: string,
  run: (url: string) => Promise<void>,
): Promise<void> {
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    await run(`${scheme}://127.0.0.1:${port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

function collect(answer: Answer) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    answer(request, response, Buffer.concat(chunks).toString('utf8'));
  };
}
