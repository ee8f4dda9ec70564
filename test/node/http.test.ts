import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { checkInvoice } from '../../node/bolt11.ts';
import { createLndNode } from '../../node/lnd.ts';
import { msat } from '../../node/msat.ts';
import { NodeError } from '../../node/node.ts';
import { rejectsWith, take } from '../contract/node.contract.ts';
import {
  type Answer,
  ASKED,
  addInvoiceAnswer,
  base64,
  HASH,
  INFO,
  invoice,
  json,
  lines,
  MACAROON,
  PAID_HASH,
  PAY,
  payment,
  REQUEST,
  settled,
  withNode,
  withTls,
} from './lnd/fake-lnd.ts';
import { OTHER_TLS_CERT, TLS_CERT } from './lnd/tls.ts';

describe('a hostile or broken node', () => {
  test('an invoice with another hash, amount, network, description or life is a bad invoice', async () => {
    const cases: [object, object, RegExp][] = [
      [{}, { r_hash: base64('cd'.repeat(32)) }, /payment hash/],
      [{ amountMsat: msat(20_000) }, {}, /amount/],
      [{ network: 'mainnet' }, {}, /network/],
      [{ memo: 'another' }, {}, /description/],
      [{ descriptionHash: 'cd'.repeat(32) }, {}, /description hash/],
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
      { timeoutMs: 50, circuit: { failures: 100 } },
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

describe('TLS', () => {
  test('the pinned certificate is accepted, whatever name it bears', async () => {
    await withNode(INFO, async (node) => assert.equal((await node.info()).alias, 'alice'), {
      tlsCertPem: TLS_CERT,
    });
  });

  test('any other certificate is refused, and so is one that nobody pinned', async () => {
    await withTls(INFO, async (url) => {
      for (const pin of [{ tlsCertPem: OTHER_TLS_CERT }, {}]) {
        const node = createLndNode({ url, macaroon: MACAROON, ...pin });
        await rejectsWith(node.info(), 'unreachable');
        await node.close();
      }
    });
  });

  test('a certificate that was renewed is read again from where it was pinned, and from nowhere else', async () => {
    await withTls(INFO, async (url) => {
      let file = OTHER_TLS_CERT;
      let reads = 0;
      const rereadTlsCert = () => {
        reads += 1;
        if (file === '') throw new Error('it is being written');
        return file;
      };
      const node = createLndNode({ url, macaroon: MACAROON, tlsCertPem: OTHER_TLS_CERT, rereadTlsCert });
      await assert.rejects(node.info(), /another certificate than the configured one/);
      file = '';
      await rejectsWith(node.info(), 'unreachable');
      file = TLS_CERT;
      assert.equal((await node.info()).alias, 'alice');
      assert.equal(reads, 3);
      await node.close();
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
