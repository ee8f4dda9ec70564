import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_SEALED_BYTES, seal, sessionKey, unseal } from '../../gateway/session/seal.ts';
import { newSessionId } from '../../gateway/session/table.ts';
import { heldCredential } from '../contract/sessions.contract.ts';

const HELD = [heldCredential(), heldCredential({ service: 'live', accountId: 'bb' })];

test('what was sealed under an id is read under that id, and under no other', () => {
  const id = newSessionId();
  assert.deepEqual(unseal(id, seal(id, HELD)), HELD);
  assert.deepEqual(unseal(newSessionId(), seal(id, HELD)), []);
});

test('neither the name nor the sealed bytes hold anything of the id or the credential', () => {
  const id = newSessionId();
  const secret = 'c0ffee'.repeat(10);
  const sealed = seal(id, [
    heldCredential({ candidate: { macaroons: [secret], preimage: secret, cacheKey: `${secret}:${secret}` } }),
  ]);
  for (const text of [sealed.toString('latin1'), sessionKey(id)]) {
    assert.ok(!text.includes(secret) && !text.includes(id));
  }
});

test('any changed, cut or added byte makes it worth nothing, and nothing throws', () => {
  const id = newSessionId();
  const sealed = seal(id, HELD);
  fc.assert(
    fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] ?? 0) ^ change;
      assert.deepEqual(unseal(id, changed), []);
      assert.deepEqual(unseal(id, sealed.subarray(0, at)), []);
    }),
  );
  assert.deepEqual(unseal(id, Buffer.concat([sealed, Buffer.of(0)])), []);
  assert.deepEqual(unseal(id, Buffer.alloc(MAX_SEALED_BYTES + 1, sealed)), []);
});

test('random bytes are no session', () => {
  const id = newSessionId();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      assert.deepEqual(unseal(id, Buffer.from(bytes)), []);
    }),
  );
});
