import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkMacaroon } from '../../gateway/cli/doctor/macaroon.ts';
import { readMacaroonExpirySec, readMacaroonRights } from '../../node/lnd/macaroon-rights.ts';
import { lndMacaroon } from './macaroons.ts';
import { folder } from './operator.ts';

const NOW_MS = Date.UTC(2030, 0, 1);
const ENOUGH = { info: ['read'], invoices: ['read', 'write'], offchain: ['read'] };

function check(rights: Parameters<typeof lndMacaroon>[0], caveats: readonly string[] = []) {
  const node = {
    type: 'lnd',
    url: 'https://127.0.0.1:8080',
    macaroon: lndMacaroon(rights, caveats),
  } as const;
  return checkMacaroon(node, () => NOW_MS).found.map(({ status, message, remedy }) => ({
    status,
    text: `${message} → ${remedy ?? ''}`,
  }));
}

test('a macaroon with what is needed and no more is well', () => {
  assert.deepEqual(
    check(ENOUGH).map(({ status }) => status),
    ['ok'],
  );
});

test('a missing right is named with the one line that bakes a better macaroon', () => {
  const [found] = check({ ...ENOUGH, invoices: ['read'] });
  assert.equal(found?.status, 'problem');
  assert.match(
    found?.text ?? '',
    /lacks the right invoices:write: nothing can be sold → .*lncli bakemacaroon .*invoices:write/,
  );
});

test("LND's own invoice.macaroon sells, and says what can not be seen", () => {
  const found = check({ address: ['read', 'write'], invoices: ['read', 'write'], onchain: ['read'] });
  assert.deepEqual(
    found.map(({ status }) => status),
    ['warning'],
  );
  assert.match(found[0]?.text ?? '', /info:read and offchain:read: whether the node is synced and how much/);
});

test('a macaroon that can take money is warned about', () => {
  const found = check({ ...ENOUGH, offchain: ['read', 'write'], macaroon: ['generate'] });
  assert.match(found[0]?.text ?? '', /far more than selling needs \(offchain:write, macaroon:generate\)/);
});

test('a macaroon ends when its earliest caveat says so', () => {
  const caveats = [
    'ipaddr 127.0.0.1',
    'time-before 2030-02-01T00:00:00Z',
    'time-before 2030-01-02T00:00:00Z',
  ];
  assert.match(check(ENOUGH, caveats)[0]?.text ?? '', /^it ends in 24 hours/);
  const over = check(ENOUGH, ['time-before 2029-12-31T00:00:00Z']);
  assert.deepEqual([over[0]?.status, /ended 24 hours ago/.test(over[0]?.text ?? '')], ['problem', true]);
});

test('rights to single methods are left to the node', () => {
  const found = check({ uri: ['/lnrpc.Lightning/AddInvoice'] });
  assert.deepEqual(
    found.map(({ status }) => status),
    ['ok'],
  );
});

test('a file that is no macaroon, or not there, is said', (t) => {
  const file = path.join(folder(t), 'x.macaroon');
  const node = { type: 'lnd', url: 'https://127.0.0.1:8080', macaroonFile: file } as const;
  assert.equal(checkMacaroon(node, () => NOW_MS).found[0]?.status, 'problem');
  writeFileSync(file, 'hello');
  assert.equal(checkMacaroon(node, () => NOW_MS).found[0]?.status, 'warning');
  writeFileSync(file, Buffer.from(lndMacaroon(ENOUGH), 'hex'));
  assert.equal(checkMacaroon(node, () => NOW_MS).found[0]?.status, 'ok');
});

test('any bytes, and any change of a good macaroon, are read to an end without an error', () => {
  const good = Buffer.from(lndMacaroon(ENOUGH, ['time-before 2030-01-02T00:00:00Z']), 'hex');
  const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length));
  fc.assert(
    fc.property(change, fc.uint8Array({ maxLength: 400 }), ([at, byte, end], noise) => {
      const bent = Buffer.from(good);
      bent[at] = byte;
      for (const bytes of [bent.subarray(0, end), Buffer.from(noise)]) {
        readMacaroonRights(bytes.toString('hex'));
        readMacaroonExpirySec(bytes.toString('hex'));
      }
    }),
    { numRuns: 2_000 },
  );
});
