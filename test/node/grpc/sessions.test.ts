import assert from 'node:assert/strict';
import type { Http2Session } from 'node:http2';
import { describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { createNodeGrpc } from '../../../node/grpc.ts';
import { parseSocksProxy } from '../../../node/socks.ts';
import { rejectsWith } from '../../contract/node.contract.ts';
import { CERTIFICATE_ONE, CERTIFICATE_TWO } from '../../security/certificates.ts';
import { eventually } from '../../support/eventually.ts';
import { answered, type GrpcCallSeen, type GrpcReply, openGrpc, silent } from '../lnd/fake-grpc.ts';
import { withTls } from '../lnd/fake-lnd.ts';
import { OTHER_TLS_CERT, TLS_CERT } from '../lnd/tls.ts';
import { openProxy } from '../socks-proxy.ts';
import {
  CALL,
  ECHO,
  frame,
  inTurn,
  MESSAGE,
  openBench,
  openClient,
  openGated,
  openRaw,
  stopClock,
  TIMEOUT_MS,
} from './bench.ts';

/** It may as well be over while a call is under way: that one goes on. */
const IDLE_MS = 20;
const PING = 6;
const END_STREAM = 1;
const END_HEADERS = 4;

/** Answers stream 1 with `:status 200` (HPACK's static table), its type and `grpc-status 5`, and nothing after it. */
function refuseFirst(socket: TLSSocket): void {
  const field = (name: string, value: string) =>
    Buffer.concat([
      Buffer.of(0, name.length),
      Buffer.from(name),
      Buffer.of(value.length),
      Buffer.from(value),
    ]);
  const head = [Buffer.of(0x88), field('content-type', 'application/grpc'), field('grpc-status', '5')];
  socket.write(frame(1, END_STREAM | END_HEADERS, 1, Buffer.concat(head)));
}

/** A connection that carries a call. */
function sessionOf({ stream: { session } }: GrpcCallSeen): Http2Session {
  assert.ok(session !== undefined);
  return session;
}

/** Only a connection that is gone on its other side too can't be written to. */
function isGone(socket: TLSSocket): boolean {
  socket.write(frame(PING, 0, 0, Buffer.alloc(8)));
  return socket.destroyed;
}

describe('a connection', () => {
  test('that is retired is let go after the time of a call, though its other side does not', async (t) => {
    const raw = await openRaw(t, refuseFirst, { allowHalfOpen: true });
    let nowMs = 0;
    const grpc = openClient(t, raw.url, { nowMs: () => nowMs });
    assert.equal((await grpc.call(CALL)).status?.code, 5);
    const socket = await raw.first;
    const clock = stopClock(t);
    const giveUp = new AbortController();
    const call = grpc.call({ ...CALL, signal: giveUp.signal });
    nowMs += 1_000;
    giveUp.abort();
    await rejectsWith(call, 'timeout');
    clock.pass();
    await eventually(
      () => isGone(socket),
      (gone) => gone,
    );
  });

  test('that the server ends with GOAWAY lets its call end well, and the next one opens another', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(silent, ECHO));
    const first = grpc.call(CALL);
    const seen = await fake.nth(1);
    fake.goAway();
    answered(MESSAGE)(seen);
    assert.equal((await first).status?.code, 0);
    assert.equal((await grpc.call(CALL)).status?.code, 0);
    assert.equal(fake.opened(), 2);
    await eventually(fake.sockets, (open) => open === 1);
  });

  test('that is idle is ended, and the next call opens another', async (t) => {
    const ended = Promise.withResolvers<void>();
    const look: GrpcReply = (call) => {
      sessionOf(call).once('close', ended.resolve);
      ECHO(call);
    };
    const { grpc, fake } = await openBench(t, look, { idleMs: IDLE_MS });
    assert.equal((await grpc.call(CALL)).status?.code, 0);
    await ended.promise;
    assert.equal((await grpc.call(CALL)).status?.code, 0);
    assert.equal(fake.opened(), 2);
  });

  test('that is idle under a slow call lets it end well, and carries no other', async (t) => {
    const { grpc, fake } = await openBench(t, inTurn(silent, ECHO), { idleMs: IDLE_MS });
    const slow = grpc.call(CALL);
    const seen = await fake.nth(1);
    await eventually(fake.left, (left) => left === 1);
    assert.equal((await grpc.call(CALL)).status?.code, 0);
    assert.equal(fake.opened(), 2);
    answered(MESSAGE)(seen);
    assert.equal((await slow).status?.code, 0);
  });

  test('is opened again when the server is back at its port', async (t) => {
    const { grpc, fake } = await openBench(t, ECHO);
    await grpc.call(CALL);
    await fake.close();
    await rejectsWith(grpc.call(CALL), 'unreachable');
    const back = await openGrpc(ECHO, {}, fake.port);
    t.after(() => back.close());
    assert.equal((await grpc.call(CALL)).status?.code, 0);
  });

  test('is asked for with HTTP/2 first: a server that goes by the order of its clients speaks it', async (t) => {
    const raw = await openRaw(t, (socket) => void socket.destroy(), {
      ALPNCallback: ({ protocols }) => protocols[0],
    });
    await rejectsWith(openClient(t, raw.url).call(CALL), 'unreachable');
    assert.equal((await raw.first).alpnProtocol, 'h2');
  });

  test('to nobody is unreachable, and names the address', async (t) => {
    const fake = await openGrpc(ECHO);
    await fake.close();
    const grpc = openClient(t, fake.url);
    await assert.rejects(grpc.call(CALL), {
      code: 'unreachable',
      message: `The node at 127.0.0.1:${fake.port} can't be reached (ECONNREFUSED).`,
    });
  });

  test('to a server that speaks HTTP/1.1 only is a protocol error that names the setting', async (t) => {
    await withTls(
      () => assert.fail('asked'),
      async (url) => {
        const grpc = openClient(t, url);
        const wrong = {
          code: 'protocol',
          message: /does not speak gRPC: node\.grpcUrl is LND's gRPC address/,
        };
        await assert.rejects(grpc.call(CALL), wrong);
        await assert.rejects(grpc.call(CALL), wrong);
      },
    );
  });
});

describe('closing', () => {
  test('ends the calls under way, and every connection', async (t) => {
    const { grpc, fake } = await openBench(t, silent);
    const calls = [grpc.call(CALL), grpc.call(CALL)].map((call) => rejectsWith(call, 'unreachable'));
    await fake.nth(2);
    await grpc.close();
    await Promise.all(calls);
    await eventually(fake.sockets, (open) => open === 0);
    await grpc.close();
  });

  test('ends a call that waits for its connection', async (t) => {
    const { fake, gate } = await openGated(t);
    const grpc = openClient(t, gate.url);
    const call = rejectsWith(grpc.call(CALL), 'unreachable');
    await gate.arrived;
    await grpc.close();
    await call;
    gate.open();
    await eventually(gate.sockets, (open) => open === 0);
    assert.equal(fake.calls.length, 0);
  });

  test('leaves nothing to call: the next one is refused', async (t) => {
    const { grpc, fake } = await openBench(t, ECHO);
    await grpc.call(CALL);
    await grpc.close();
    await rejectsWith(grpc.call(CALL), 'unreachable');
    await eventually(fake.sockets, (open) => open === 0);
    assert.equal(fake.calls.length, 1);
  });

  test('lets go of a connection whose other side does not', async (t) => {
    const raw = await openRaw(t, () => {}, { allowHalfOpen: true });
    const grpc = openClient(t, raw.url);
    const giveUp = new AbortController();
    const call = grpc.call({ ...CALL, signal: giveUp.signal });
    const socket = await raw.first;
    giveUp.abort();
    await rejectsWith(call, 'timeout');
    await grpc.close();
    await eventually(
      () => isGone(socket),
      (gone) => gone,
    );
  });
});

describe('TLS', () => {
  test('the pinned certificate is accepted, whatever name it bears; any other is refused', async (t) => {
    const { grpc, fake } = await openBench(t, ECHO);
    assert.equal((await grpc.call(CALL)).status?.code, 0);
    const other = openClient(t, fake.url, { tlsCertPem: OTHER_TLS_CERT });
    await assert.rejects(other.call(CALL), /another certificate than the configured one/);
    const { metadata, timeoutMs, concurrency } = { metadata: {}, timeoutMs: TIMEOUT_MS, concurrency: 1 };
    const unpinned = createNodeGrpc({ url: fake.url, metadata, timeoutMs, concurrency });
    await rejectsWith(unpinned.call(CALL), 'unreachable');
    await unpinned.close();
    assert.equal(fake.calls.length, 1);
  });

  test('a certificate that was renewed is read again from where it was pinned', async (t) => {
    let file = OTHER_TLS_CERT;
    const { grpc } = await openBench(t, ECHO, {
      tlsCertPem: OTHER_TLS_CERT,
      rereadTlsCert: () => file,
    });
    await rejectsWith(grpc.call(CALL), 'unreachable');
    file = TLS_CERT;
    assert.equal((await grpc.call(CALL)).status?.code, 0);
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const wants = { requestCert: true, rejectUnauthorized: true, ca: CERTIFICATE_ONE.cert, maxVersion };
    const one = { certPem: CERTIFICATE_ONE.cert, keyPem: CERTIFICATE_ONE.key };
    const two = { certPem: CERTIFICATE_TWO.cert, keyPem: CERTIFICATE_TWO.key };

    test(`a client certificate is shown to a server that wants one, ${maxVersion}`, async (t) => {
      let shown: unknown;
      const look: GrpcReply = (call) => {
        const { session } = call.stream;
        assert.ok(session !== undefined);
        shown = (session.socket as TLSSocket).getPeerCertificate().subject.CN;
        ECHO(call);
      };
      const { grpc } = await openBench(t, look, { readClientCertificate: () => one }, wants);
      assert.equal((await grpc.call(CALL)).status?.code, 0);
      assert.equal(shown, 'one.example');
    });

    test(`without one, or with another, nothing is asked, ${maxVersion}`, async (t) => {
      for (const options of [{}, { readClientCertificate: () => two }]) {
        const { grpc, fake } = await openBench(t, ECHO, options, wants);
        await rejectsWith(grpc.call(CALL), 'unreachable');
        assert.equal(fake.calls.length, 0);
      }
    });
  }

  test('a server that wants a client certificate makes the settings be named', async (t) => {
    const wants = { requestCert: true, ca: CERTIFICATE_ONE.cert, maxVersion: 'TLSv1.2' } as const;
    const { grpc } = await openBench(t, ECHO, {}, wants);
    await assert.rejects(grpc.call(CALL), /wants a client certificate.*node\.clientCertFile/);
  });
});

describe('through a SOCKS proxy', () => {
  test('the name goes to the proxy as it stands, and the certificate is checked behind it', async (t) => {
    const { fake } = await openBench(t, ECHO);
    const proxy = await openProxy(fake.port);
    t.after(() => proxy.close());
    const socksProxy = parseSocksProxy(proxy.url);
    const onion = `https://${'a'.repeat(55)}d.onion:10009`;
    const grpc = openClient(t, onion, { socksProxy });
    assert.equal((await grpc.call(CALL)).status?.code, 0);
    const [{ host, port } = assert.fail()] = proxy.asked;
    assert.equal(`https://${host}:${port}`, onion);
    const wrong = openClient(t, onion, { socksProxy, tlsCertPem: OTHER_TLS_CERT });
    await rejectsWith(wrong.call(CALL), 'unreachable');
    await Promise.all([grpc.close(), wrong.close()]);
    await eventually(proxy.sockets, (open) => open === 0);
  });

  test('a proxy that refuses is named', async (t) => {
    const proxy = await openProxy(1, { refuse: 5 });
    t.after(() => proxy.close());
    const grpc = openClient(t, 'https://node.example:10009', { socksProxy: parseSocksProxy(proxy.url) });
    await assert.rejects(grpc.call(CALL), { code: 'unreachable', message: /SOCKS proxy .*did not connect/ });
  });
});
