import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  endedCookie,
  readSessionId,
  sessionCookie,
  withoutSessionCookie,
} from '../../gateway/session/cookie.ts';

const ID = 'A'.repeat(43);

test('a session cookie says all that keeps it at home', () => {
  assert.equal(
    sessionCookie('https', ID, 3600.7),
    `__Host-sluice=${ID}; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict; Secure`,
  );
  // Some browsers drop Secure cookies, and all drop __Host- ones without Secure, on http://localhost.
  assert.equal(
    sessionCookie('localhost', ID, 60),
    `sluice-session=${ID}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict`,
  );
  assert.match(endedCookie('https'), /^__Host-sluice=; Path=\/; Max-Age=0;/);
});

test('a session is read from the cookie of its scope only, and only when there is one', () => {
  const header = `a=1; __Host-sluice=${ID}; b=2`;
  assert.equal(readSessionId(header, 'https'), ID);
  assert.equal(readSessionId(header, 'localhost'), undefined);
  assert.equal(readSessionId(header, 'nowhere'), undefined);
  assert.equal(readSessionId(`sluice-session=${ID}`, 'localhost'), ID);
  // A neighbour can plant a cookie of the plain name on HTTPS, and not of the other.
  assert.equal(readSessionId(`sluice-session=${ID}`, 'https'), undefined);
  assert.equal(readSessionId(`__Host-sluice=${ID}; __Host-sluice=${'B'.repeat(43)}`, 'https'), undefined);
  for (const value of ['', 'short', 'A'.repeat(44), `${'A'.repeat(42)}!`, `"${ID}"`]) {
    assert.equal(readSessionId(`__Host-sluice=${value}`, 'https'), undefined, value);
  }
  assert.equal(readSessionId(`x__Host-sluice=${ID}`, 'https'), undefined);
});

test('only our cookies are taken out of a header', () => {
  const cases: readonly (readonly [before: string, after: string | undefined])[] = [
    ['a=1', 'a=1'],
    [`__Host-sluice=${ID}`, undefined],
    [`sluice-session=${ID}`, undefined],
    [`__Host-sluice=${ID}; a=1`, 'a=1'],
    [`a=1; __Host-sluice=${ID}`, 'a=1'],
    [`a=1; __Host-sluice=${ID}; b=2`, 'a=1; b=2'],
    [`a=1;__Host-sluice=${ID};b=2`, 'a=1;b=2'],
    [`a=1;  b="x y";__Host-sluice=broken;c`, 'a=1;  b="x y";c'],
    [`a=1; __Host-sluice=${ID}; sluice-session=${ID}; __Host-sluice=2`, 'a=1'],
    ['a=1; __Host-sluice', 'a=1'],
    ['my-sluice=1; sluice=2; x=sluice-session', 'my-sluice=1; sluice=2; x=sluice-session'],
    ['', ''],
  ];
  for (const [before, after] of cases) assert.equal(withoutSessionCookie(before), after, before);
});

test('whatever else stands in a Cookie header goes through byte for byte', () => {
  const pair = fc.stringMatching(/^[!#-+\--:<-~]{1,20}=[ -:<-~]{0,30}$/);
  fc.assert(
    fc.property(fc.array(pair, { maxLength: 8 }), fc.nat(8), (pairs, at) => {
      const others = pairs.map((text) => ` ${text}`);
      const header = others.join(';').slice(1);
      const ours = [...others];
      ours.splice(Math.min(at, ours.length), 0, ` __Host-sluice=${ID}`);
      const kept = withoutSessionCookie(ours.join(';').slice(1));
      assert.equal(kept?.trim() ?? '', header.trim());
      assert.ok(!kept?.includes(ID));
    }),
  );
});
