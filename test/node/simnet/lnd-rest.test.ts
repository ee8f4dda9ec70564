import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { msat, ZERO_MSAT } from '../../../node/msat.ts';
import { serveLndRest } from '../../../node/simnet/lnd-rest.ts';
import type { Simnet } from '../../../node/simnet/types.ts';
import { START_MS } from '../../contract/node.contract.ts';
import { eventually } from '../../support/eventually.ts';
import { openTestNet } from '../bench.ts';

/** The fields that the tests read. */
type Fields = Partial<
  Record<
    | 'r_hash'
    | 'payment_request'
    | 'add_index'
    | 'payment_addr'
    | 'payment_preimage'
    | 'payments'
    | 'invoices'
    | 'local_balance'
    | 'result'
    | 'status'
    | 'memo'
    | 'state'
    | 'code'
    | 'message',
    unknown
  >
>;

test('an added invoice answers, looks up, lists and decodes in LND’s forms', async () => {
  await served(async ({ call, simnet }) => {
    const added = await call('POST', '/v1/invoices', { memo: 'quote', value: '10', expiry: 60 });
    assert.equal(added.status, 200);
    const { r_hash, payment_request, add_index, payment_addr } = added.body;
    assert.deepEqual(Object.keys(added.body), ['r_hash', 'payment_request', 'add_index', 'payment_addr']);
    assert.match(String(r_hash), /^[A-Za-z0-9+/]{43}=$/);
    assert.equal(add_index, '1');
    const hash = Buffer.from(String(r_hash), 'base64').toString('hex');

    const looked = (await call('GET', `/v1/invoice/${hash}`)).body;
    assert.partialDeepStrictEqual(looked, {
      memo: 'quote',
      r_preimage: '',
      r_hash,
      value: '10',
      value_msat: '10000',
      settled: false,
      creation_date: String(START_MS / 1000),
      settle_date: '0',
      payment_request,
      expiry: '60',
      add_index: '1',
      settle_index: '0',
      amt_paid_msat: '0',
      state: 'OPEN',
      payment_addr,
    });
    const list = (await call('GET', '/v1/invoices?num_max_invoices=5')).body;
    assert.deepEqual(list, { invoices: [looked], last_index_offset: '1', first_index_offset: '1' });

    const decoded = (await call('GET', `/v1/payreq/${payment_request}`)).body;
    assert.partialDeepStrictEqual(decoded, {
      destination: simnet.wallet('gateway').publicKey,
      payment_hash: hash,
      num_satoshis: '10',
      num_msat: '10000',
      description: 'quote',
      expiry: '60',
      payment_addr,
    });
  });
});

test('a payment streams its states, is tracked, listed, and settles the invoice', async () => {
  await served(async ({ call, lines }) => {
    const added = await call('POST', '/v1/invoices', { value_msat: '10500' });
    const bolt11 = added.body.payment_request;
    const hash = Buffer.from(String(added.body.r_hash), 'base64');
    const sent = await lines(
      'POST',
      '/v2/router/send',
      { payment_request: bolt11, fee_limit_msat: 5 },
      'default',
    );
    assert.deepEqual(
      sent.map((line) => (line.result as Fields).status),
      ['IN_FLIGHT', 'SUCCEEDED'],
    );
    const final = sent[1]?.result as Fields;
    assert.partialDeepStrictEqual(final, {
      payment_hash: hash.toString('hex'),
      value_sat: '10',
      value_msat: '10500',
      fee_msat: '0',
      payment_request: bolt11,
      failure_reason: 'FAILURE_REASON_NONE',
      payment_index: '1',
      creation_time_ns: `${START_MS}000000`,
    });
    const preimage = Buffer.from(String(final.payment_preimage), 'hex');
    assert.deepEqual(createHash('sha256').update(preimage).digest(), hash);

    const track = `/v2/router/track/${hash.toString('base64url')}=`;
    assert.deepEqual(await lines('GET', track, undefined, 'default'), [{ result: final }]);
    const payments = (await call('GET', '/v1/payments?reversed=true', undefined, 'default')).body;
    assert.deepEqual(payments.payments, [final]);
    const settled = (await call('GET', `/v1/invoice/${hash.toString('hex')}`)).body;
    assert.partialDeepStrictEqual(settled, {
      r_preimage: preimage.toString('base64'),
      settled: true,
      state: 'SETTLED',
      settle_index: '1',
      amt_paid_sat: '10',
      amt_paid_msat: '10500',
      settle_date: String(START_MS / 1000),
    });
    const balance = (await call('GET', '/v1/balance/channels')).body;
    assert.deepEqual(balance.local_balance, { sat: '10', msat: '10500' });
  });
});

test('an invoice that is paid by its parts takes more than it asks, up to twice, and never less', async () => {
  await served(async ({ call, lines, simnet }) => {
    const added = await call('POST', '/v1/invoices', { value_msat: '10000' });
    const { r_hash, payment_addr } = added.body;
    const dest = Buffer.from(simnet.wallet('gateway').publicKey, 'hex').toString('base64');
    const parts = {
      dest,
      payment_hash: r_hash,
      payment_addr,
      final_cltv_delta: 90,
      dest_features: [9, 15, 17],
    };
    const pay = async (change: object): Promise<unknown> => {
      const body = { ...parts, no_inflight_updates: true, ...change };
      const [line] = await lines('POST', '/v2/router/send', body, 'default');
      return (line?.result as Record<string, unknown> | undefined)?.['failure_reason'] ?? line;
    };
    const refused = 'FAILURE_REASON_INCORRECT_PAYMENT_DETAILS';
    assert.equal(await pay({ amt_msat: '9999' }), refused);
    assert.equal(await pay({ amt_msat: '20001' }), refused);
    assert.equal(await pay({ amt_msat: '10000', payment_addr: r_hash }), refused);
    assert.equal(await pay({ amt_msat: '10000', payment_hash: payment_addr }), refused);
    assert.equal(await pay({ amt_msat: '12345' }), 'FAILURE_REASON_NONE');
    const hash = Buffer.from(String(r_hash), 'base64').toString('hex');
    assert.partialDeepStrictEqual((await call('GET', `/v1/invoice/${hash}`)).body, {
      state: 'SETTLED',
      value_msat: '10000',
      amt_paid_msat: '12345',
    });
  });
});

test('parts of an invoice beside an invoice, or too few of them, are refused', async () => {
  await served(async ({ lines, simnet }) => {
    const dest = Buffer.from(simnet.wallet('gateway').publicKey, 'hex').toString('base64');
    const message = async (body: object): Promise<unknown> => {
      const [line] = await lines('POST', '/v2/router/send', body, 'default');
      return (line as { error?: { message?: unknown } } | undefined)?.error?.message;
    };
    assert.equal(
      await message({ payment_request: 'lnbcrt1', dest }),
      'dest and payment_request cannot appear together',
    );
    assert.match(String(await message({})), /^invalid pubkey/);
    assert.equal(await message({ dest }), 'amount must be specified');
    assert.equal(await message({ dest, amt: 1 }), 'invalid hash length of 0, want 32');
  });
});

test('getinfo and channels have what clients look for', async () => {
  await served(async ({ call, simnet }) => {
    assert.partialDeepStrictEqual((await call('GET', '/v1/getinfo')).body, {
      identity_pubkey: simnet.wallet('gateway').publicKey,
      alias: 'simnet/gateway',
      synced_to_chain: true,
      chains: [{ chain: 'bitcoin', network: 'regtest' }],
    });
    const channels = (await call('GET', '/v1/channels', undefined, 'default')).body;
    assert.partialDeepStrictEqual(channels, { channels: [{ active: true, local_balance: '1000000' }] });
  });
});

test('errors have LND’s codes, statuses and texts', async () => {
  await served(async ({ call, lines }) => {
    const unary = async (method: string, path: string, body?: unknown) => {
      const answer = await call(method, path, body);
      return [answer.status, answer.body.code, answer.body.message];
    };
    const hash = 'ab'.repeat(32);
    const base64 = Buffer.from(hash, 'hex').toString('base64');
    assert.deepEqual(await unary('GET', `/v1/invoice/${hash}`), [404, 5, 'there are no existing invoices']);
    await call('POST', '/v1/invoices', { value: 1 });
    assert.deepEqual(await unary('GET', `/v1/invoice/${hash}`), [404, 5, 'unable to locate invoice']);
    assert.deepEqual(await unary('POST', '/v1/invoices', { memo: 'x'.repeat(640) }), [
      500,
      2,
      'data length too big to fit within 10 bits: 1024',
    ]);
    assert.deepEqual(await unary('GET', '/v1/invoice/abcd'), [
      500,
      2,
      'payment hash must be exactly 32 bytes, is instead 2',
    ]);
    assert.deepEqual(await unary('GET', '/v1/nothing'), [404, 5, 'Not Found']);
    assert.deepEqual(await unary('DELETE', '/v1/invoices'), [501, 12, 'Method Not Allowed']);
    assert.deepEqual(await unary('POST', '/v2/invoices/cancel', { payment_hash: base64 }), [
      500,
      2,
      'unable to locate invoice',
    ]);
    assert.deepEqual(await unary('POST', '/v1/invoices', { valeu: 1 }), [
      400,
      3,
      'proto: unknown field "valeu"',
    ]);
    assert.deepEqual(await unary('POST', '/v1/invoices', { value: 1, value_msat: 1 }), [
      500,
      2,
      'sat and msat arguments are mutually exclusive',
    ]);
    assert.deepEqual(await unary('POST', '/v1/invoices', { value: -1 }), [
      500,
      2,
      'amount cannot be negative',
    ]);
    const urlSafe = Buffer.from(hash, 'hex').toString('base64url');
    assert.deepEqual(await lines('GET', `/v2/router/track/${urlSafe}=`), [
      { error: { code: 5, message: "payment isn't initiated", details: [] } },
    ]);
    const added = await call('POST', '/v1/invoices', { value: 1 });
    const pay = { payment_request: added.body.payment_request, no_inflight_updates: true };
    await lines('POST', '/v2/router/send', pay, 'default');
    assert.deepEqual(await lines('POST', '/v2/router/send', pay, 'default'), [
      { error: { code: 6, message: 'invoice is already paid', details: [] } },
    ]);
    const twice = { ...pay, amt: 1 };
    assert.deepEqual(await lines('POST', '/v2/router/send', twice, 'default'), [
      {
        error: {
          code: 2,
          message: 'amount must not be specified when paying a non-zero amount invoice',
          details: [],
        },
      },
    ]);
  });
});

test('a hold invoice is made, watched, settled and cancelled in LND’s forms and words', async () => {
  await served(async ({ call, lines, simnet }) => {
    const preimage = '5a'.repeat(32);
    const hash = createHash('sha256').update(Buffer.from(preimage, 'hex')).digest();
    const asked = { hash: hash.toString('base64'), memo: 'later', value_msat: '10000', expiry: '60' };
    const words = async (path: string, body: object) => {
      const { status, body: answer } = await call('POST', path, body);
      return [status, answer.code, answer.message];
    };
    const settle = (hex: string) =>
      words('/v2/invoices/settle', { preimage: Buffer.from(hex, 'hex').toString('base64') });
    assert.deepEqual(await settle(preimage), [500, 2, 'unable to locate invoice']);
    assert.deepEqual(await settle('5a'), [500, 2, 'invalid preimage length of 1, want 32']);
    assert.deepEqual(await words('/v2/invoices/hodl', { value: 1 }), [
      500,
      2,
      'invalid hash length of 0, want 32',
    ]);
    const made = (await call('POST', '/v2/invoices/hodl', asked)).body;
    assert.deepEqual(Object.keys(made), ['payment_request', 'add_index', 'payment_addr']);
    assert.deepEqual(await words('/v2/invoices/hodl', asked), [
      500,
      2,
      'invoice with payment hash already exists',
    ]);
    assert.deepEqual(await settle(preimage), [500, 2, 'invoice still open']);

    const watching = lines('GET', `/v2/invoices/subscribe/${hash.toString('base64url')}=`);
    const pay = { payment_request: made.payment_request, no_inflight_updates: true };
    const paying = lines('POST', '/v2/router/send', pay, 'default');
    const looked = async () => (await call('GET', `/v1/invoice/${hash.toString('hex')}`)).body;
    await eventually(looked, ({ state }) => state === 'ACCEPTED');
    assert.partialDeepStrictEqual(await looked(), { r_preimage: '', settled: false, amt_paid_msat: '10000' });
    assert.equal(simnet.wallet('default').inFlightMsat(), 10_000);
    assert.deepEqual(await settle(preimage), [200, undefined, undefined]);
    assert.deepEqual(await settle(preimage), [200, undefined, undefined]);
    assert.partialDeepStrictEqual(await paying, [
      { result: { status: 'SUCCEEDED', payment_preimage: preimage } },
    ]);
    const states = (await watching).map((line) => (line.result as Fields).state);
    assert.equal(states.at(-1), 'SETTLED');
    assert.ok(['OPEN', 'ACCEPTED', 'SETTLED'].join().endsWith(states.join()), states.join());

    const other = { ...asked, hash: Buffer.alloc(32, 1).toString('base64') };
    await call('POST', '/v2/invoices/hodl', other);
    assert.deepEqual(await words('/v2/invoices/cancel', { payment_hash: other.hash }), [
      200,
      undefined,
      undefined,
    ]);
    assert.deepEqual(await words('/v2/invoices/cancel', { payment_hash: asked.hash }), [
      500,
      2,
      'invoice already settled',
    ]);
  });
});

test('without a macaroon, or with a wrong one, nothing is answered', async () => {
  await served(async ({ call }) => {
    for (const macaroon of [undefined, '', '00', 'ab'.repeat(32)]) {
      const answer = await call('GET', '/v1/getinfo', undefined, { macaroon });
      assert.equal(answer.status, 500);
      assert.match(String(answer.body.message), /macaroon|verification failed/);
    }
  });
});

test('one wallet sees nothing of another', async () => {
  await served(async ({ call }) => {
    const added = await call('POST', '/v1/invoices', { value: 1 });
    const hash = Buffer.from(String(added.body.r_hash), 'base64').toString('hex');
    assert.equal((await call('GET', `/v1/invoice/${hash}`, undefined, 'default')).status, 404);
    const cancel = { payment_hash: added.body.r_hash };
    assert.equal((await call('POST', '/v2/invoices/cancel', cancel, 'default')).status, 500);
    assert.deepEqual((await call('GET', '/v1/invoices', undefined, 'default')).body.invoices, []);
  });
});

test('bodies are bounded, announced or not', async () => {
  await served(async ({ call, simnet, url }) => {
    const memo = 'x'.repeat(100_000);
    assert.equal((await call('POST', '/v1/invoices', { memo })).status, 429);
    const { macaroon } = simnet.wallet('gateway');
    const headers = { 'Grpc-Metadata-macaroon': macaroon };
    const chunked = request(`${url}/v1/invoices`, { method: 'POST', headers });
    chunked.on('error', () => {});
    const answered = once(chunked, 'response');
    chunked.write(memo);
    const [response] = await answered;
    assert.deepEqual([response.statusCode, response.headers.connection], [429, 'close']);
    response.resume();
    await once(chunked, 'close');
  });
});

test('a subscription replays what was added and settled after the indexes, then goes on', async () => {
  await served(async ({ simnet, subscribe }) => {
    const gateway = simnet.wallet('gateway');
    const settle = async (memo: string) => {
      const { bolt11, paymentHash } = gateway.addInvoice({ amountMsat: msat(1_000), memo, expirySec: 60 });
      simnet.wallet('default').pay({ bolt11, maxFeeMsat: ZERO_MSAT });
      await simnet.wallet('default').finalPayment(paymentHash);
    };
    await settle('first');
    await settle('second');
    gateway.addInvoice({ amountMsat: msat(1_000), memo: 'open', expirySec: 60 });
    const backlog = await subscribe('settle_index=1&add_index=1');
    assert.deepEqual([await backlog.next(), await backlog.next()], ['open OPEN', 'second SETTLED']);
    await settle('third');
    assert.deepEqual([await backlog.next(), await backlog.next()], ['third OPEN', 'third SETTLED']);
    backlog.stop();

    // As LND has it: settle index 0 means only what is new. What was added comes again, so that there is a first line.
    gateway.addInvoice({ amountMsat: msat(1_000), memo: 'later', expirySec: 60 });
    const fresh = await subscribe('settle_index=0&add_index=4');
    assert.equal(await fresh.next(), 'later OPEN');
    await settle('fourth');
    assert.deepEqual([await fresh.next(), await fresh.next()], ['fourth OPEN', 'fourth SETTLED']);
    fresh.stop();

    // As LND, it answers nothing at all before there is a line.
    const subscribing = subscribe('settle_index=4&add_index=9223372036854775806');
    await settle('fifth');
    const settledOnly = await subscribing;
    assert.equal(await settledOnly.next(), 'fifth SETTLED');
    settledOnly.stop();
  });
});

test('play money is served on loopback only', async () => {
  const { simnet } = openTestNet();
  for (const host of ['0.0.0.0', '::', '192.168.1.2', 'example.com']) {
    await assert.rejects(serveLndRest(simnet, { host, port: 0 }), { name: 'NodeError', code: 'rejected' });
  }
  simnet.close();
});

test('a port in use is said', async () => {
  await served(async ({ simnet, url }) => {
    const port = Number(new URL(url).port);
    await assert.rejects(serveLndRest(simnet, { host: '127.0.0.1', port }), { code: 'unreachable' });
  });
});

test('garbage on the socket closes it and nothing else', async () => {
  await served(async ({ call, url }) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.end('GET nonsense\r\n\r\n\0\0\0');
    socket.resume();
    await once(socket, 'close');
    assert.equal((await call('GET', '/v1/invoice/%zz')).status, 500);
    assert.equal((await call('GET', '/v1/getinfo')).status, 200);
  });
});

type Who = string | { readonly macaroon: string | undefined };

async function served(work: (tools: ReturnType<typeof toolsFor>) => Promise<void>): Promise<void> {
  const { simnet, nowMs } = openTestNet();
  const server = await serveLndRest(simnet, { host: '127.0.0.1', port: 0, nowMs });
  try {
    await work(toolsFor(simnet, server.url));
  } finally {
    await server.close();
    simnet.close();
  }
}

function toolsFor(simnet: Simnet, url: string) {
  const send = (method: string, path: string, body: unknown, who: Who) => {
    const macaroon = typeof who === 'string' ? simnet.wallet(who).macaroon : who.macaroon;
    return fetch(`${url}${path}`, {
      method,
      headers: macaroon === undefined ? {} : { 'Grpc-Metadata-macaroon': macaroon },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  };
  return {
    simnet,
    url,
    async call(method: string, path: string, body?: unknown, who: Who = 'gateway') {
      const response = await send(method, path, body, who);
      return { status: response.status, body: (await response.json()) as Fields };
    },
    async lines(method: string, path: string, body?: unknown, who: Who = 'gateway'): Promise<Fields[]> {
      const text = await (await send(method, path, body, who)).text();
      return text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Fields);
    },
    async subscribe(query: string) {
      const call = request(`${url}/v1/invoices/subscribe?${query}`, {
        headers: { 'Grpc-Metadata-macaroon': simnet.wallet('gateway').macaroon },
      });
      call.end();
      const [response] = await once(call, 'response');
      const read = createInterface({ input: response })[Symbol.asyncIterator]();
      return {
        async next() {
          const { result } = JSON.parse((await read.next()).value ?? '{}') as { result: Fields };
          return `${result.memo} ${result.state}`;
        },
        stop: () => call.destroy(),
      };
    },
  };
}
