import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createLndNode, type LndOptions } from '../../node/lnd.ts';
import { NodeError } from '../../node/node.ts';
import { parseSocksProxy } from '../../node/socks.ts';
import { rejectsWith, take } from '../contract/node.contract.ts';
import { eventually } from '../support/eventually.ts';
import { INFO, json, MACAROON, settled, withHttp, withTls } from './lnd/fake-lnd.ts';
import { OTHER_TLS_CERT, TLS_CERT } from './lnd/tls.ts';
import { type Hostility, openProxy, type TestProxy } from './socks-proxy.ts';

/** Nothing on this machine or in its resolver knows it: only the proxy does. */
const ONION = `${'a'.repeat(55)}d.onion`;

type Options = Partial<LndOptions>;
type Serve = typeof withTls;

async function throughProxy(
  serve: Serve,
  url: (scheme: string) => string,
  proxyOptions: Parameters<typeof openProxy>[1],
  options: Options,
  work: (node: ReturnType<typeof createLndNode>, proxy: TestProxy) => Promise<void>,
  answer = INFO,
): Promise<void> {
  await serve(answer, async (target) => {
    const { port, protocol } = new URL(target);
    const proxy = await openProxy(Number(port), proxyOptions);
    const socksProxy = parseSocksProxy(proxy.url);
    const node = createLndNode({ url: url(protocol), macaroon: MACAROON, socksProxy, ...options });
    try {
      await work(node, proxy);
      await node.close();
      await eventually(proxy.sockets, (open) => open === 0);
    } finally {
      await node.close();
      await proxy.close();
    }
  });
}

describe('through a SOCKS proxy', () => {
  const onion = (scheme: string) => `${scheme}//${ONION}:8443`;

  test('the name goes to the proxy as it stands, and the pinned certificate is checked behind it', async () => {
    await throughProxy(withTls, onion, {}, { tlsCertPem: TLS_CERT }, async (node, { asked }) => {
      assert.equal((await node.info()).alias, 'alice');
      const [first] = asked;
      assert.deepEqual([first?.addressType, first?.host, first?.port], [3, ONION, 8443]);
    });
  });

  test('another certificate than the pinned one is refused: the proxy can not stand in for the node', async () => {
    await throughProxy(withTls, onion, {}, { tlsCertPem: OTHER_TLS_CERT }, async (node) => {
      await assert.rejects(node.info(), /another certificate than the configured one/);
    });
    await throughProxy(withTls, onion, {}, {}, (node) => rejectsWith(node.info(), 'unreachable'));
  });

  test('a renewed certificate is read again, over a connection of its own', async () => {
    const options = { tlsCertPem: OTHER_TLS_CERT, rereadTlsCert: () => TLS_CERT };
    await throughProxy(withTls, onion, {}, options, async (node, { asked }) => {
      assert.equal((await node.info()).alias, 'alice');
      assert.equal(asked.length, 2);
    });
  });

  test('a feed comes through too, and plain HTTP where nothing needs TLS', async () => {
    const line = json(200, { result: settled({ settle_index: '6' }) });
    await throughProxy(
      withHttp,
      () => `http://${ONION}`,
      {},
      {},
      async (node, { asked }) => {
        assert.equal((await take(node, 5, 1))[0]?.cursor, 6);
        assert.equal(asked[0]?.port, 80);
      },
      line,
    );
  });

  test('user and password are sent where the proxy wants them, and appear in no error', async () => {
    const login = 'alice:s3cret-word';
    const pin = { tlsCertPem: TLS_CERT };
    const socksProxyOf = (port: number, password: string) =>
      parseSocksProxy(`socks5h://alice:${password}@127.0.0.1:${port}`);
    await withTls(INFO, async (target) => {
      const proxy = await openProxy(Number(new URL(target).port), { login });
      const nodeWith = (password: string) =>
        createLndNode({
          url: `https://${ONION}`,
          macaroon: MACAROON,
          socksProxy: socksProxyOf(proxy.port, password),
          ...pin,
        });
      const [right, wrong] = [nodeWith('s3cret-word'), nodeWith('wr0ng-word')];
      assert.equal((await right.info()).alias, 'alice');
      assert.deepEqual(proxy.asked[0]?.password, 's3cret-word');
      await assert.rejects(wrong.info(), (error) => {
        assert.ok(error instanceof NodeError && error.code === 'unreachable');
        assert.match(error.message, /SOCKS proxy at 127\.0\.0\.1:\d+ did not connect/);
        assert.ok(!JSON.stringify([error, error.stack, error.cause]).includes('wr0ng-word'));
        return true;
      });
      await Promise.all([right.close(), wrong.close()]);
      await proxy.close();
    });
  });

  test('a proxy that refuses, and one that is not there, are named', async () => {
    await throughProxy(withTls, onion, { refuse: 4 }, { tlsCertPem: TLS_CERT }, async (node) => {
      await assert.rejects(node.info(), /SOCKS proxy at .* did not connect to a+d\.onion:8443 \(.*Host/i);
    });
    const gone = await openProxy(1);
    await gone.close();
    const socksProxy = parseSocksProxy(gone.url);
    const node = createLndNode({ url: `https://${ONION}`, macaroon: MACAROON, socksProxy });
    await assert.rejects(node.info(), /SOCKS proxy .*ECONNREFUSED/);
    await node.close();
  });

  const hostilities: readonly (readonly [string, Hostility])[] = [
    ['never answers', () => {}],
    ['hangs up at once', (client) => void client.end()],
    ['hangs up in the middle', (client) => void client.end(Buffer.from([5]))],
    ['speaks HTTP', (client) => void client.write('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['wants what nobody offered', (client) => void client.write(Buffer.from([5, 0xff]))],
    ['agrees, then falls silent', (client) => void client.write(Buffer.from([5, 0]))],
    ['agrees, then sends without end', (client) => flood(client, Buffer.from([5, 0]))],
    ['sends noise without end', (client) => flood(client, Buffer.alloc(1024, 0x41))],
    [
      'drips',
      (client) => {
        const timer = setInterval(() => client.write(Buffer.from([5])), 20);
        client.on('close', () => clearInterval(timer));
      },
    ],
  ];
  for (const [what, hostility] of hostilities) {
    test(`a proxy that ${what} costs no more than the deadline, and leaves no connection behind`, async () => {
      const proxy = await openProxy(1, { hostility });
      const socksProxy = parseSocksProxy(proxy.url);
      const node = createLndNode({
        url: `https://${ONION}`,
        macaroon: MACAROON,
        tlsCertPem: TLS_CERT,
        socksProxy,
        timeoutMs: 300,
      });
      try {
        await assert.rejects(node.info(), (error) => {
          assert.ok(error instanceof NodeError, String(error));
          assert.ok(error.code === 'unreachable' || error.code === 'timeout', error.code);
          return true;
        });
        await node.close();
        await eventually(proxy.sockets, (open) => open === 0);
      } finally {
        await proxy.close();
      }
    });
  }
});

/** Sends without end, as fast as it is read. */
function flood(client: Parameters<Hostility>[0], first: Buffer): void {
  client.write(first);
  const chunk = Buffer.alloc(16 * 1024, 0x41);
  const more = () => {
    while (!client.destroyed && client.write(chunk));
    client.once('drain', more);
  };
  more();
}

describe('the address of a SOCKS proxy', () => {
  test('is read with and without port and password', () => {
    assert.deepEqual(parseSocksProxy('socks5h://127.0.0.1:9050'), { host: '127.0.0.1', port: 9050 });
    assert.deepEqual(parseSocksProxy('socks5h://[::1]/'), { host: '::1', port: 1080 });
    assert.deepEqual(parseSocksProxy('socks5h://a%40b:p%3aw@proxy:1'), {
      host: 'proxy',
      port: 1,
      userName: 'a@b',
      password: 'p:w',
    });
  });

  test('anything else is refused, unrepeated', () => {
    for (const text of ['', '127.0.0.1:9050', 'socks5://h:1', 'http://h', 'socks5h://', 'socks5h://h/path']) {
      assert.throws(() => parseSocksProxy(text), { name: 'NodeError', code: 'rejected' });
    }
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl()), (text) => {
        try {
          parseSocksProxy(text);
        } catch (error) {
          assert.ok(error instanceof NodeError && error.code === 'rejected');
        }
      }),
    );
  });
});
