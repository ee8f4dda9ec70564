import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CookieRequest, cookieScope, isOwnSite } from '../../gateway/session/request-origin.ts';

function request(change: Partial<CookieRequest> = {}): CookieRequest {
  return {
    method: 'GET',
    headers: {},
    authority: 'media.example.com',
    encrypted: false,
    trustedPeer: false,
    ...change,
  };
}

test('a cookie works over TLS, behind a declared proxy that says https, and on localhost', () => {
  const proto = { 'x-forwarded-proto': 'https' };
  const cases: readonly (readonly [Partial<CookieRequest>, string])[] = [
    [{ encrypted: true }, 'https'],
    [{ trustedPeer: true, headers: proto }, 'https'],
    [{ trustedPeer: true, headers: { 'x-forwarded-proto': 'HTTPS, http' } }, 'https'],
    [{ trustedPeer: true, headers: { forwarded: 'for=192.0.2.1;proto=https;host=x' } }, 'https'],
    [{ trustedPeer: true, headers: { 'x-forwarded-proto': 'http' } }, 'nowhere'],
    [{ trustedPeer: true, headers: { 'x-forwarded-proto': 'http, https' } }, 'nowhere'],
    [{ trustedPeer: true, headers: { forwarded: 'for=x;proto=http, proto=https' } }, 'nowhere'],
    [{ headers: proto }, 'nowhere'],
    [{}, 'nowhere'],
    [{ authority: '192.168.1.4:8402' }, 'nowhere'],
    [{ authority: 'localhost:8402' }, 'localhost'],
    [{ authority: 'app.localhost' }, 'localhost'],
    [{ authority: '127.0.0.1:8402' }, 'localhost'],
    [{ authority: '[::1]:8402' }, 'localhost'],
    [{ authority: 'localhost.example.com' }, 'nowhere'],
    [{ authority: '127.0.0.1.example.com' }, 'nowhere'],
    [{ authority: '' }, 'nowhere'],
    // Behind a proxy, localhost is the proxy's word for us and not the browser's.
    [{ authority: '127.0.0.1:8402', headers: { 'x-forwarded-for': '192.0.2.1' } }, 'nowhere'],
    [{ authority: '127.0.0.1:8402', headers: proto }, 'nowhere'],
  ];
  for (const [change, scope] of cases)
    assert.equal(cookieScope(request(change)), scope, JSON.stringify(change));
});

test('a request is of our own site when the browser says so, or could not say otherwise', () => {
  const cases: readonly (readonly [CookieRequest['headers'], boolean])[] = [
    [{ 'sec-fetch-site': 'same-origin' }, true],
    [{ 'sec-fetch-site': 'none' }, true],
    [{ 'sec-fetch-site': 'same-site' }, false],
    [{ 'sec-fetch-site': 'cross-site' }, false],
    [{ 'sec-fetch-site': 'Same-Origin' }, false],
    [{ 'sec-fetch-site': 'same-origin, cross-site' }, false],
    [{ 'sec-fetch-site': 'cross-site', origin: 'https://media.example.com' }, false],
    [{}, true],
    [{ origin: 'https://media.example.com' }, true],
    [{ origin: 'https://evil.example' }, false],
    [{ origin: 'https://media.example.com:8443' }, false],
    [{ origin: 'null' }, false],
  ];
  for (const [headers, own] of cases)
    assert.equal(isOwnSite(request({ headers })), own, JSON.stringify(headers));
  const withPort = request({
    authority: 'media.example.com:443',
    headers: { origin: 'https://media.example.com' },
  });
  assert.equal(isOwnSite(withPort), true);
});
