import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { ClientCertificate } from '../../node/connect.ts';
import { createLndNode } from '../../node/lnd.ts';
import { rejectsWith } from '../contract/node.contract.ts';
import { CERTIFICATE_ONE, CERTIFICATE_TWO } from '../security/certificates.ts';
import { type Answer, MACAROON, withTls } from './lnd/fake-lnd.ts';
import { TLS_CERT } from './lnd/tls.ts';

/** Tells as its alias which certificate the client showed. */
const INFO: Answer = (request, response) => {
  const peer = (request.socket as TLSSocket).getPeerCertificate();
  const body = {
    identity_pubkey: `02${'ab'.repeat(32)}`,
    alias: String(peer.subject?.CN ?? 'nobody'),
    block_height: 1,
    synced_to_chain: true,
    chains: [{ chain: 'bitcoin', network: 'regtest' }],
  };
  // Each request a connection of its own, so that each shows a certificate.
  response.writeHead(200, { connection: 'close' }).end(JSON.stringify(body));
};

const ONE: ClientCertificate = { certPem: CERTIFICATE_ONE.cert, keyPem: CERTIFICATE_ONE.key };
const TWO: ClientCertificate = { certPem: CERTIFICATE_TWO.cert, keyPem: CERTIFICATE_TWO.key };

function nodeAt(url: string, readClientCertificate?: () => ClientCertificate) {
  return createLndNode({
    url,
    macaroon: MACAROON,
    tlsCertPem: TLS_CERT,
    ...(readClientCertificate === undefined ? {} : { readClientCertificate }),
  });
}

describe('a server that wants a client certificate', () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const wants = { requestCert: true, rejectUnauthorized: true, ca: CERTIFICATE_ONE.cert, maxVersion };

    test(`is shown it, ${maxVersion}`, async () => {
      await withTls(
        INFO,
        async (url) => {
          const node = nodeAt(url, () => ONE);
          assert.equal((await node.info()).alias, 'one.example');
          await node.close();
        },
        wants,
      );
    });

    test(`refuses none, and one of another issuer, ${maxVersion}`, async () => {
      await withTls(
        INFO,
        async (url) => {
          for (const node of [nodeAt(url), nodeAt(url, () => TWO)]) {
            await rejectsWith(node.info(), 'unreachable');
            await node.close();
          }
        },
        wants,
      );
    });
  }

  test('and says so: the keys to set are named', async () => {
    const wants = { requestCert: true, ca: CERTIFICATE_ONE.cert, maxVersion: 'TLSv1.2' } as const;
    await withTls(
      INFO,
      async (url) => {
        const node = nodeAt(url);
        await assert.rejects(node.info(), /wants a client certificate.*node\.clientCertFile/);
        await node.close();
      },
      wants,
    );
  });

  test('is shown a renewed one with the next connection; one that is being written changes nothing', async () => {
    const wants = { requestCert: true, ca: [CERTIFICATE_ONE.cert, CERTIFICATE_TWO.cert] };
    await withTls(
      INFO,
      async (url) => {
        let read = (): ClientCertificate => ONE;
        const node = nodeAt(url, () => read());
        assert.equal((await node.info()).alias, 'one.example');
        for (const broken of [
          () => {
            throw new Error('gone');
          },
          () => ({ certPem: TWO.certPem, keyPem: ONE.keyPem }),
          () => ({ certPem: '', keyPem: '' }),
        ]) {
          read = broken;
          assert.equal((await node.info()).alias, 'one.example');
        }
        read = () => TWO;
        assert.equal((await node.info()).alias, 'two.example');
        await node.close();
      },
      wants,
    );
  });
});

test('a client certificate that is none, or another key’s, is refused at once', () => {
  for (const pair of [
    { certPem: 'x', keyPem: 'y' },
    { certPem: ONE.certPem, keyPem: TWO.keyPem },
  ]) {
    assert.throws(() => nodeAt('https://127.0.0.1:1', () => pair), {
      name: 'NodeError',
      code: 'unreachable',
      message: /client certificate.*belong together/,
    });
  }
});
