import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SLOT_COUNT, slotOf, slotTags } from '../../../gateway/ledger/redis/slots.ts';

test('slots are those of the specification', () => {
  // The check value of CRC16-XMODEM, and an example of the cluster specification.
  assert.equal(slotOf('123456789'), 0x31c3);
  assert.equal(slotOf('{user1000}.following'), slotOf('{user1000}.followers'));
  assert.equal(slotOf('{user1000}.following'), slotOf('user1000'));
  assert.equal(slotOf('foo{}{bar}'), slotOf('foo{}{bar}'));
  assert.notEqual(slotOf('foo{}{bar}'), slotOf('bar'));
  assert.equal(slotOf('foo{{bar}}zap'), slotOf('{bar'));
  assert.equal(slotOf('foo{bar}{zap}'), slotOf('bar'));
});

test('there is a text for every slot, which lies in it', () => {
  const tags = slotTags();
  assert.equal(tags.length, SLOT_COUNT);
  assert.ok(tags.every((tag, slot) => tag !== '' && slotOf(`{${tag}}proof`) === slot));
});
