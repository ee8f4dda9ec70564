import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeLastSeen } from '../../gateway/ledger/last-seen.ts';
import { type RunningGateway, runGateway } from '../../gateway/run.ts';
import { serveSimnetGrpc } from '../node/lnd/simnet-grpc.ts';
import { TLS_CERT } from '../node/lnd/tls.ts';
import { CERTIFICATE_ONE, CERTIFICATE_TWO } from '../security/certificates.ts';
import { folder, type Ran, run } from './operator.ts';
import { openShop, type Shop } from './shop.ts';

interface Check {
  readonly check: string;
  readonly status: string;
  readonly message: string;
  readonly remedy?: string;
}

async function examine(dir: string, argv: readonly string[] = []): Promise<{ ran: Ran; checks: Check[] }> {
  const ran = await run(dir, ['doctor', '--json', ...argv]);
  const { ok, checks }: { ok: boolean; checks: Check[] } = JSON.parse(ran.stdout);
  assert.equal(ok, ran.code === 0);
  return { ran, checks };
}

function problems(checks: readonly Check[]): string[] {
  return checks
    .filter(({ status }) => status === 'problem')
    .map(({ check, message }) => `${check}: ${message}`);
}

/** Starts the gateway of a folder, as `sluice start` does. */
async function start(t: TestContext, { dir }: Pick<Shop, 'dir'>): Promise<RunningGateway> {
  const running = await runGateway({ flags: {}, env: {}, cwd: dir, stdout: { write: () => {} } });
  t.after(() => running.stop());
  return running;
}

/** A shop whose invoices are made over gRPC, at that address. */
function configureGrpc(shop: Shop, grpcUrl: string): void {
  writeFileSync(path.join(shop.dir, 'tls.cert'), TLS_CERT);
  shop.configure([], `, grpcUrl: "${grpcUrl}", tlsCertFile: tls.cert`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('a shop that works is well, in a line a check', async (t) => {
  const shop = await openShop(t);
  const { code, stdout } = await run(shop.dir, ['doctor']);
  assert.equal(code, 0, stdout);
  assert.match(stdout, /^✓ upstream +\S+ \(quote\) answers$/m);
  assert.match(stdout, /^✓ node +simnet\/gateway \(regtest\) answers and is synced, block 1$/m);
  assert.match(stdout, /^✓ inbound +at most \d+ sat can be received, over 1 active channel$/m);
  assert.match(stdout, /^✓ clock +agrees with all 2 other clocks/m);
  assert.doesNotMatch(stdout, /^✗/m);
  const { macaroon } = shop.simnet.wallet('gateway');
  assert.equal(stdout.includes(macaroon), false, 'no secret is shown');
});

test('a doctor makes nothing: no folder, key, store or token', async (t) => {
  const dir = folder(t);
  const { checks } = await examine(dir);
  assert.deepEqual(problems(checks), []);
  assert.deepEqual(readdirSync(dir), []);
});

test('a file that can not be used is named with every problem and its remedy', async (t) => {
  const shop = await openShop(t);
  shop.configure(['  - { name: b, path: /b, price: 10 }']);
  const { ran, checks } = await examine(shop.dir);
  assert.equal(ran.code, 1);
  assert.equal(checks.length, 1);
  assert.match(checks[0]?.message ?? '', /sluice\.yaml:\d+:\d+: services\[1\]\.price .* is not a price/);
  assert.ok(checks[0]?.remedy);
});

test('an upstream that does not answer is a problem, one that answers 500 a warning', async (t) => {
  const shop = await openShop(t);
  const broken = createServer((_request, response) => response.writeHead(502).end());
  await new Promise<void>((resolve) => broken.listen(0, '127.0.0.1', resolve));
  t.after(() => broken.close());
  const { port } = broken.address() as AddressInfo;
  const gone = await freePort();
  shop.configure([
    `  - { name: b, path: /b, price: 1 sat, upstream: "http://127.0.0.1:${gone}" }`,
    `  - { name: c, path: /c, price: 1 sat, upstream: "http://127.0.0.1:${port}" }`,
  ]);
  const { checks } = await examine(shop.dir);
  assert.deepEqual(problems(checks), [
    `upstream: http://127.0.0.1:${gone} (b) does not answer: ECONNREFUSED`,
  ]);
  const warned = checks.filter(({ check, status }) => check === 'upstream' && status === 'warning');
  assert.match(warned[0]?.message ?? '', /\(c\) answers HEAD with 502/);
});

test('an upstream that is named with https and speaks no TLS is told from one with a bad certificate', async (t) => {
  const shop = await openShop(t);
  const { host } = new URL(shop.upstreamUrl);
  shop.configure([`  - { name: b, path: /b, price: 1 sat, upstream: "https://${host}" }`]);
  const { checks } = await examine(shop.dir);
  assert.deepEqual(problems(checks), [
    `upstream: https://${host} (b) does not answer: ERR_SSL_WRONG_VERSION_NUMBER`,
  ]);
  const [found] = checks.filter(({ status }) => status === 'problem');
  assert.match(found?.remedy ?? '', /write `http:\/\/` in `upstream:`/);
});

test('the gRPC address of the node is tried, without the macaroon', async (t) => {
  const shop = await openShop(t);
  const grpc = await serveSimnetGrpc(shop.simnet);
  t.after(() => grpc.close());
  configureGrpc(shop, grpc.url);
  const { stdout } = await run(shop.dir, ['doctor']);
  assert.match(stdout, new RegExp(`^✓ gRPC +${grpc.url} answers: invoices are made there$`, 'm'));
  assert.deepEqual(
    grpc.calls.map(({ path, headers }) => [path, headers['macaroon']]),
    [['/lnrpc.State/GetState', undefined]],
  );
});

test('a gRPC address where nobody is does not keep the node from being asked over REST', async (t) => {
  const shop = await openShop(t);
  const gone = await freePort();
  configureGrpc(shop, `https://127.0.0.1:${gone}`);
  const { ran, checks } = await examine(shop.dir);
  assert.equal(ran.code, 1);
  assert.deepEqual(problems(checks), [`gRPC: The node at 127.0.0.1:${gone} can't be reached (ECONNREFUSED)`]);
  const ofNode = checks.filter(({ check }) => ['node', 'inbound', 'gRPC'].includes(check));
  assert.deepEqual(
    ofNode.map(({ check, status }) => `${status} ${check}`),
    ['ok node', 'ok inbound', 'problem gRPC'],
  );
  assert.match(ofNode[0]?.message ?? '', /answers and is synced/);
  assert.match(ofNode[2]?.remedy ?? '', /`node\.grpcUrl`/);
});

test('a REST address where nobody is does not keep the gRPC address from being tried', async (t) => {
  const shop = await openShop(t);
  const grpc = await serveSimnetGrpc(shop.simnet);
  t.after(() => grpc.close());
  configureGrpc(shop, grpc.url);
  const gone = await freePort();
  const yaml = path.join(shop.dir, 'sluice.yaml');
  const text = readFileSync(yaml, 'utf8');
  writeFileSync(yaml, text.replace(/\burl: "[^"]+"/, `url: "https://127.0.0.1:${gone}"`));
  const { checks } = await examine(shop.dir);
  assert.deepEqual(problems(checks), [`node: The node at 127.0.0.1:${gone} can't be reached (ECONNREFUSED)`]);
  assert.equal(checks.find(({ check }) => check === 'gRPC')?.status, 'ok');
});

/** What is said of the node, its files and its addresses. */
function ofNode(checks: readonly Check[]): string[] {
  const names = ['certificate', 'macaroon', 'node', 'gRPC', 'inbound'];
  return checks
    .filter(({ check }) => names.includes(check))
    .map(({ check, status, message }) => `${status} ${check}: ${message}`);
}

test('a certificate of the node that can not be read is said once, with a short word of what was not asked for it', async (t) => {
  const shop = await openShop(t);
  const grpc = await serveSimnetGrpc(shop.simnet);
  t.after(() => grpc.close());
  configureGrpc(shop, grpc.url);
  const file = path.join(shop.dir, 'tls.cert');
  for (const spoil of [() => writeFileSync(file, 'no PEM'), () => rmSync(file)]) {
    spoil();
    const { ran, checks } = await examine(shop.dir);
    assert.equal(ran.code, 1);
    const [certificate, ...rest] = ofNode(checks);
    assert.match(
      certificate ?? '',
      /^problem certificate: the node's certificate \(\S+tls\.cert\) can not be read/,
    );
    assert.deepEqual(
      rest.filter((line) => !line.includes('macaroon: ')),
      ['node', 'gRPC'].map((check) => `warning ${check}: not asked before the certificate is mended`),
    );
    assert.equal(JSON.stringify(checks).split('tls.cert)').length, 2);
  }
  assert.equal(grpc.opened(), 0);
});

test('a macaroon that can not be read is said once; the gRPC address is tried, which wants none', async (t) => {
  const shop = await openShop(t);
  const grpc = await serveSimnetGrpc(shop.simnet);
  t.after(() => grpc.close());
  configureGrpc(shop, grpc.url);
  const yaml = path.join(shop.dir, 'sluice.yaml');
  const text = readFileSync(yaml, 'utf8');
  writeFileSync(yaml, text.replace(/macaroon: "[^"]+"/, 'macaroonFile: gone.macaroon'));
  const { ran, checks } = await examine(shop.dir);
  assert.equal(ran.code, 1);
  const [certificate, macaroon, ...rest] = ofNode(checks);
  assert.match(certificate ?? '', /^ok certificate/);
  assert.match(macaroon ?? '', /^problem macaroon: .*gone\.macaroon can't be read/);
  assert.deepEqual(rest, [
    'warning node: not asked before the macaroon is mended',
    `ok gRPC: ${grpc.url} answers: invoices are made there`,
  ]);
  const { stdout } = await run(shop.dir, ['doctor']);
  assert.equal(stdout.split('gone.macaroon').length, 2);
  assert.match(stdout, /^1 problem, \d+ warnings?\.$/m);
});

test('clocks that differ from the node and the upstream are named', async (t) => {
  const shop = await openShop(t);
  const late = createServer((_request, response) => {
    response.setHeader('Date', new Date(Date.now() - 3_600_000).toUTCString()).end();
  });
  await new Promise<void>((resolve) => late.listen(0, '127.0.0.1', resolve));
  t.after(() => late.close());
  const { port } = late.address() as AddressInfo;
  shop.configure([`  - { name: b, path: /b, price: 1 sat, upstream: "http://127.0.0.1:${port}" }`]);
  const { checks } = await examine(shop.dir);
  const clock = checks.filter(({ check }) => check === 'clock');
  assert.deepEqual(
    clock.map(({ status }) => status),
    ['warning'],
  );
  assert.match(clock[0]?.message ?? '', /the upstream http:\S+ is 60 minutes behind this machine's/);
});

test('ports are free, of the running gateway, or of another program', async (t) => {
  const shop = await openShop(t);
  const [port, adminPort] = [await freePort(), await freePort()];
  const flags = ['--port', String(port), '--admin-port', String(adminPort)];
  const free = await examine(shop.dir, flags);
  assert.match(JSON.stringify(free.checks), new RegExp(`127.0.0.1:${port} \\(listen\\) is free`));

  const other = createServer();
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
  t.after(() => other.close());
  const taken = await examine(shop.dir, flags);
  assert.deepEqual(problems(taken.checks), [`port: 127.0.0.1:${port} (listen) is in use by another program`]);
  await new Promise((resolve) => other.close(resolve));

  const running = await runGateway({
    flags: { port, adminPort },
    env: {},
    cwd: shop.dir,
    stdout: { write: () => {} },
  });
  t.after(() => running.stop());
  const beside = await examine(shop.dir, flags);
  assert.deepEqual(problems(beside.checks), []);
  assert.match(JSON.stringify(beside.checks), /is in use by the running gateway/);
  assert.match(JSON.stringify(beside.checks), /has seen no proxy in front of it/);
  const [address] = running.gateway.addresses;
  await fetch(`${address?.url}/quote`, { headers: { 'X-Forwarded-For': '192.0.2.1' } });
  const proxied = (await examine(shop.dir, flags)).checks.find(({ check }) => check === 'proxy');
  assert.equal(proxied?.status, 'warning');
  assert.match(proxied?.remedy ?? '', /trustedProxies/);
});

test('store, master key and ledger.json that do not belong together are told apart', async (t) => {
  const shop = await openShop(t);
  const { dataDir } = shop;
  await (await start(t, shop)).stop();
  const well = await examine(shop.dir);
  assert.deepEqual(problems(well.checks), []);
  const seenBefore = readFileSync(path.join(dataDir, 'ledger.json'), 'utf8');
  const { generation, epoch }: { generation: string; epoch: number } = JSON.parse(seenBefore);

  await writeLastSeen(dataDir, { generation, epoch: epoch + 5 });
  assert.match(problems((await examine(shop.dir)).checks).join(), /^ledger\.json: .* older copy/);
  await writeLastSeen(dataDir, { generation: 'ab'.repeat(16), epoch });
  assert.match(problems((await examine(shop.dir)).checks).join(), /^ledger\.json: .* not the one/);
  await writeLastSeen(dataDir, { generation, epoch });

  const keyFile = path.join(dataDir, 'master.key');
  writeFileSync(keyFile, `${'01'.repeat(32)}\n`, { mode: 0o600 });
  assert.match(problems((await examine(shop.dir)).checks).join(), /^master key: .* another master key/);
  chmodSync(keyFile, 0o644);
  const open = problems((await examine(shop.dir)).checks);
  assert.ok(open.some((line) => line.startsWith('data folder: ') && line.includes('master.key')));
  rmSync(keyFile);
  assert.match(problems((await examine(shop.dir)).checks).join(), /^master key: \S+master\.key is gone/);
  assert.equal(existsSync(keyFile), false);
  rmSync(path.join(dataDir, 'ledger.db'));
  assert.match(problems((await examine(shop.dir)).checks).join(), /^store: \S+ is gone/);
  const again = JSON.parse(readFileSync(path.join(dataDir, 'ledger.json'), 'utf8'));
  assert.deepEqual(again, { generation, epoch }, 'the epoch is as it was');
});

test('a store that was written in the future is a wrong clock', async (t) => {
  const shop = await openShop(t);
  await (await start(t, shop)).stop();
  const { DatabaseSync } = await import('node:sqlite');
  const db = new DatabaseSync(path.join(shop.dataDir, 'ledger.db'));
  const ahead = Math.floor(Date.now() / 1000) + 86_400;
  db.prepare("INSERT OR REPLACE INTO settings (name, value) VALUES ('clock', ?)").run(ahead);
  db.close();
  assert.match(
    problems((await examine(shop.dir)).checks).join(),
    /^clock: the store was written .* 24 hours ahead/,
  );
});

test('a node that is away, or of another network, has its own remedy', async (t) => {
  const shop = await openShop(t);
  const yaml = path.join(shop.dir, 'sluice.yaml');
  const text = readFileSync(yaml, 'utf8');
  writeFileSync(yaml, text.replace('network: regtest', 'network: mainnet'));
  const wrong = (await examine(shop.dir)).checks.find(({ check }) => check === 'node');
  assert.equal(wrong?.status, 'problem');
  assert.match(`${wrong?.message} ${wrong?.remedy}`, /regtest, not on mainnet.*node\.network/);
  writeFileSync(yaml, text.replace(/url: "[^"]+"/, `url: "http://127.0.0.1:${await freePort()}"`));
  const away = (await examine(shop.dir)).checks.find(({ check }) => check === 'node');
  assert.deepEqual([away?.status, away?.message.includes('ECONNREFUSED')], ['problem', true]);
});

test('a price above what the channels can take is a problem', async (t) => {
  const shop = await openShop(t);
  const { inboundMsat } = shop.simnet.wallet('gateway');
  const tooMuch = inboundMsat() / 1000 + 1;
  shop.configure([`  - { name: dear, path: /dear, price: ${tooMuch} sat }`]);
  const found = problems((await examine(shop.dir)).checks);
  assert.match(found.join(), /^inbound: at most \d+ sat can be received, and dear asks for \d+ sat/);
  shop.configure([`  - { name: dear, path: /dear, price: ${Math.floor(tooMuch / 5)} sat }`]);
  const few = (await examine(shop.dir)).checks.find(({ check }) => check === 'inbound');
  assert.deepEqual([few?.status, /fewer than 10 sales of dear/.test(few?.message ?? '')], ['warning', true]);
});

test('the simulated node of this process is asked also while the gateway runs', async (t) => {
  const dir = folder(t);
  const shop = await openShop(t);
  writeFileSync(
    path.join(dir, 'sluice.yaml'),
    `listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nlog: { level: silent }\nnode: { type: simulated, port: 0 }\nupstream: ${shop.upstreamUrl}\nservices: [{ name: a, path: /a, price: 1 sat }]\n`,
  );
  await start(t, { dir });
  const { checks } = await examine(dir);
  assert.deepEqual(problems(checks), []);
  assert.ok(checks.some(({ check, message }) => check === 'node' && message.includes('play money, regtest')));
});

test("certificates of listeners are dated, and keys that are another one's are refused", async (t) => {
  const shop = await openShop(t);
  const tls = path.join(shop.dir, 'tls');
  mkdirSync(tls);
  const write = (cert: string, key: string): void => {
    writeFileSync(path.join(tls, 'cert.pem'), cert);
    writeFileSync(path.join(tls, 'key.pem'), key, { mode: 0o600 });
  };
  const yaml = path.join(shop.dir, 'sluice.yaml');
  const listen = 'listen: { address: 127.0.0.1:0, tls: { cert: tls/cert.pem, key: tls/key.pem } }';
  writeFileSync(yaml, readFileSync(yaml, 'utf8').replace('listen: 127.0.0.1:0', listen));
  write(CERTIFICATE_ONE.cert, CERTIFICATE_ONE.key);
  const good = (await examine(shop.dir)).checks.find(({ check }) => check === 'certificate');
  assert.match(good?.message ?? '', /holds for \d+ days more/);
  write(CERTIFICATE_ONE.cert, CERTIFICATE_TWO.key);
  assert.match(problems((await examine(shop.dir)).checks).join(), /^certificate: .* can not be used/);
});

test('the client certificate for the node is dated; a key that is another one’s, or that everybody can read, is said', async (t) => {
  const shop = await openShop(t);
  const [cert, key] = [path.join(shop.dir, 'c.pem'), path.join(shop.dir, 'k.pem')];
  writeFileSync(cert, CERTIFICATE_ONE.cert);
  writeFileSync(key, CERTIFICATE_ONE.key, { mode: 0o600 });
  const yaml = path.join(shop.dir, 'sluice.yaml');
  const before = readFileSync(yaml, 'utf8');
  const named = 'network: regtest, clientCertFile: c.pem, clientKeyFile: k.pem }';
  const after = before.replace('network: regtest }', named).replace('url: "http:', 'url: "https:');
  writeFileSync(yaml, after);
  const of = (checks: readonly Check[], name: string) =>
    checks.filter(({ check }) => check === name).map(({ status, message }) => `${status}: ${message}`);
  const good = of((await examine(shop.dir)).checks, 'certificate');
  assert.match(good.join(), /^ok: the client certificate for the node \(.*c\.pem\) holds for \d+ days more$/);
  writeFileSync(key, CERTIFICATE_TWO.key);
  chmodSync(key, 0o644);
  const { checks } = await examine(shop.dir);
  assert.match(of(checks, 'certificate').join(), /problem: .* and its key \(.*k\.pem\) can not be used/);
  assert.match(of(checks, 'data folder').join(), /warning: .*k\.pem can be read by every user/);
  assert.deepEqual(of(checks, 'node'), ['warning: not asked before the certificate is mended']);
});
