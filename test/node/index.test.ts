import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { SimulatedNodeConfig } from '../../config/config.ts';
import { openNode } from '../../node/index.ts';
import { createLndNode } from '../../node/lnd.ts';
import { msat } from '../../node/msat.ts';
import { rejectsWith, take } from '../contract/node.contract.ts';

const CONFIG: SimulatedNodeConfig = {
  type: 'simulated',
  port: 0,
  portChosen: false,
  latencyMs: 0,
  failureRate: 0,
};

test('the simulated network is opened in the data folder, served, and its address written for wallets', async () => {
  await inFolder(async (dataDir) => {
    const opened = await openNode(CONFIG, { dataDir, nowMs: Date.now });
    assert.equal(opened.node.capabilities.playMoney, true);
    const file = join(dataDir, 'simnet.json');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const address = JSON.parse(readFileSync(file, 'utf8'));
    assert.equal(address.url, opened.surfaceUrl);
    assert.deepEqual(Object.keys(address.wallets), ['gateway', 'default']);

    const wallet = createLndNode({ url: address.url, macaroon: address.wallets.default });
    const invoice = await opened.node.createInvoice({ amountMsat: msat(1_000), memo: '', expirySec: 60 });
    const paid = await wallet.payInvoice(invoice.bolt11, { maxFeeMsat: msat(0), timeoutMs: 5_000 });
    assert.equal(paid.kind, 'succeeded');
    assert.equal((await take(opened.node, 0, 1))[0]?.paymentHash, invoice.paymentHash);
    await wallet.close();
    await opened.close();
    assert.throws(() => statSync(file), { code: 'ENOENT' });
  });
});

test('a second process on the same data folder is refused; after a close it may have it', async () => {
  await inFolder(async (dataDir) => {
    const deps = { dataDir, nowMs: Date.now };
    const first = await openNode(CONFIG, deps);
    const address = readFileSync(join(dataDir, 'simnet.json'), 'utf8');
    await rejectsWith(openNode(CONFIG, deps), 'not-ready');
    assert.equal(readFileSync(join(dataDir, 'simnet.json'), 'utf8'), address);
    await first.close();
    await (await openNode(CONFIG, deps)).close();
  });
});

test('a port in use is another port, unless the operator chose it', async () => {
  await inFolder(async (dataDir) => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const { port } = taken.address() as AddressInfo;
    const deps = { dataDir, nowMs: Date.now };
    await rejectsWith(openNode({ ...CONFIG, port, portChosen: true }, deps), 'unreachable');
    const opened = await openNode({ ...CONFIG, port }, deps);
    assert.notEqual(new URL(opened.surfaceUrl ?? '').port, String(port));
    await opened.close();
    await new Promise((resolve) => taken.close(resolve));
  });
});

test('a network served elsewhere is play money too', async () => {
  await inFolder(async (dataDir) => {
    const deps = { dataDir, nowMs: Date.now };
    const host = await openNode(CONFIG, deps);
    const macaroon = host.simnet?.wallet('gateway').macaroon ?? '';
    const remote = await openNode({ ...CONFIG, url: host.surfaceUrl ?? '', macaroon }, deps);
    assert.equal(remote.node.capabilities.playMoney, true);
    assert.deepEqual(await remote.node.info(), await host.node.info());
    assert.equal(remote.simnet, undefined);
    await remote.close();
    await host.close();
  });
});

test('without a surface nothing listens and nothing is written', async () => {
  await inFolder(async (dataDir) => {
    const opened = await openNode(CONFIG, { dataDir, nowMs: Date.now, listenSurface: false });
    assert.equal(opened.surfaceUrl, undefined);
    assert.throws(() => statSync(join(dataDir, 'simnet.json')), { code: 'ENOENT' });
    await opened.close();
  });
});

test('LND’s macaroon file is read, binary or hex, and a missing one is named', async () => {
  await inFolder(async (dataDir) => {
    const host = await openNode(CONFIG, { dataDir, nowMs: Date.now });
    const macaroonFile = join(dataDir, 'admin.macaroon');
    const config = { type: 'lnd', url: host.surfaceUrl ?? '', macaroonFile } as const;
    const deps = { dataDir, nowMs: Date.now };
    await assert.rejects(openNode(config, deps), {
      code: 'unauthorized',
      message: /node\.macaroonFile.*admin/,
    });

    writeFileSync(macaroonFile, `${host.simnet?.wallet('gateway').macaroon}\n`);
    const lnd = await openNode(config, deps);
    assert.equal(lnd.node.capabilities.playMoney, false);
    assert.equal((await lnd.node.info()).network, 'regtest');
    await lnd.close();

    writeFileSync(macaroonFile, Buffer.from('0201036c6e64', 'hex'));
    const binary = await openNode(config, deps);
    await rejectsWith(binary.node.info(), 'unauthorized');
    await binary.close();
    await host.close();
  });
});

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-node-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
