import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import tls from 'node:tls';
import { forward } from '../../gateway/proxy/forward.ts';
import { createUpstreams } from '../../gateway/proxy/upstream.ts';
import { createHttpServer } from '../../gateway/server.ts';
import { exchangeOf, rawClient, startRawUpstream, TEST_LIMITS } from '../proxy/wire.ts';
import { CERTIFICATE_ONE, CERTIFICATE_TWO } from './certificates.ts';

const folder = await mkdtemp(join(tmpdir(), 'sluice-tls-'));
after(() => rm(folder, { recursive: true }));

async function install(name: string, certificate: { readonly cert: string; readonly key: string }) {
  const files = { certFile: join(folder, `${name}.crt`), keyFile: join(folder, `${name}.key`) };
  await writeFile(files.certFile, certificate.cert);
  await writeFile(files.keyFile, certificate.key);
  return files;
}

/** The name that a server's certificate carries now. */
async function nameOn(port: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false }, () => {
    resolve(String(socket.getPeerCertificate().subject.CN));
    socket.destroy();
  });
  socket.on('error', reject);
  return promise;
}

test('certificate files are reread when they change, and a broken pair leaves the old one in use', async () => {
  const files = await install('reload', CERTIFICATE_ONE);
  const events: ((error: Error | undefined) => void)[] = [];
  const next = () => new Promise<Error | undefined>((resolve) => events.push(resolve));
  const server = await createHttpServer({ host: '127.0.0.1', port: 0, tls: files }, TEST_LIMITS, {
    onRequest: (_req, res) => {
      res.end('secret');
    },
    onUpgrade: () => {},
    onCertificate: (error) => {
      for (const resolve of events.splice(0)) resolve(error);
    },
  });
  const { port, url } = await server.listen();
  assert.match(url, /^https:/);
  assert.equal(await nameOn(port), 'one.example');

  const renewed = next();
  await install('reload', CERTIFICATE_TWO);
  assert.equal(await renewed, undefined);
  assert.equal(await nameOn(port), 'two.example');

  const refused = next();
  await writeFile(files.keyFile, CERTIFICATE_ONE.key);
  assert.ok((await refused) instanceof Error);
  assert.equal(await nameOn(port), 'two.example');
  await server.drain(0);
});

test('a certificate that can’t be used is an error at the start', async () => {
  const files = await install('wrong', { cert: CERTIFICATE_ONE.cert, key: CERTIFICATE_TWO.key });
  const handlers = { onRequest: () => {}, onUpgrade: () => {} };
  await assert.rejects(createHttpServer({ host: '127.0.0.1', port: 0, tls: files }, TEST_LIMITS, handlers));
  const missing = { ...files, keyFile: join(folder, 'missing.key') };
  await assert.rejects(
    createHttpServer({ host: '127.0.0.1', port: 0, tls: missing }, TEST_LIMITS, handlers),
    {
      code: 'ENOENT',
    },
  );
});

test('over TLS too, an upstream that dies mid-body never looks like a clean end', async () => {
  const files = await install('forward', CERTIFICATE_ONE);
  const upstream = await startRawUpstream((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome', () => socket.destroySoon());
    });
  });
  const upstreams = createUpstreams();
  const server = await createHttpServer({ host: '127.0.0.1', port: 0, tls: files }, TEST_LIMITS, {
    onRequest: (req, res) => {
      void forward(upstreams, exchangeOf(req, res, upstream.origin));
    },
    onUpgrade: () => {},
  });
  const { url } = await server.listen();
  const { promise, resolve } = Promise.withResolvers<string>();
  https
    .get(`${url}/x`, { rejectUnauthorized: false, agent: false }, (res) => {
      res.resume();
      res.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      res.on('end', () => resolve('clean end'));
    })
    .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  assert.equal(await promise, 'ECONNRESET');
  await server.drain(0);
  await upstreams.destroy();
  await upstream.close();
});

test('a connection that never finishes its handshake does not hold up a drain', async () => {
  const files = await install('handshake', CERTIFICATE_ONE);
  const server = await createHttpServer({ host: '127.0.0.1', port: 0, tls: files }, TEST_LIMITS, {
    onRequest: () => {},
    onUpgrade: () => {},
  });
  const { port } = await server.listen();

  const client = await rawClient(port);
  await server.drain(30);
  await client.ended();
});
