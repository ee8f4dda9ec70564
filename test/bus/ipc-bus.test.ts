import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BusNews } from '../../gateway/bus/bus.ts';
import { boundedTell, createIpcBus, readBusNews } from '../../gateway/bus/ipc-bus.ts';

const HASH = 'ab'.repeat(32);
const SETTLED: BusNews = { kind: 'settled', paymentHash: HASH };

test('what is published is told to the others, and only what they say is heard', async () => {
  const told: BusNews[] = [];
  const heard: BusNews[] = [];
  const bus = createIpcBus((news) => told.push(news));
  const stop = bus.subscribe((news) => heard.push(news));
  bus.publish({ kind: 'revoked', accountId: HASH });
  bus.hear(SETTLED);
  stop();
  bus.hear(SETTLED);
  assert.deepEqual(told, [{ kind: 'revoked', accountId: HASH }]);
  assert.deepEqual(heard, [SETTLED]);
  await bus.close();
  bus.publish({ kind: 'revoked', accountId: HASH });
  assert.equal(told.length, 1);
});

test('a process that does not keep up misses messages, and is told so once it does', () => {
  const sent: { readonly news: BusNews; readonly handedOver: () => void }[] = [];
  const tell = boundedTell((news, handedOver) => sent.push({ news, handedOver }), 2);
  for (let n = 0; n < 5; n += 1) tell(SETTLED);
  assert.equal(sent.length, 2);
  sent[0]?.handedOver();
  assert.equal(sent.length, 2);
  sent[1]?.handedOver();
  assert.deepEqual(sent[2]?.news, { kind: 'missed' });
  sent[2]?.handedOver();
  assert.equal(sent.length, 3);
  tell(SETTLED);
  assert.equal(sent.length, 4);
});

test('what is no news is read as none', () => {
  for (const bad of [
    null,
    'missed',
    { kind: 'credited', accountId: HASH },
    { kind: 'credited', accountId: 'x'.repeat(64), paymentHash: HASH },
    { kind: 'settled', paymentHash: `${HASH}00` },
    { kind: 'beat' },
  ]) {
    assert.equal(readBusNews(bad), undefined);
  }
  fc.assert(fc.property(fc.anything(), (value) => void readBusNews(value)));
  // Nothing but what it knows is passed on.
  assert.deepEqual(readBusNews({ ...SETTLED, more: 'x'.repeat(1_000) }), SETTLED);
});
