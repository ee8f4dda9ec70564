import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dashboardPage } from '../../gateway/admin/dashboard.ts';
import { runPageScript } from '../support/run-page-script.ts';

const { html } = dashboardPage({ title: 'Test', nonce: 'AAAA' });
const ANSWERS: Readonly<Record<string, object>> = {
  '/api/status': { version: '1.2.3', playMoney: true, ready: true, parts: { store: { state: 'up' } } },
  '/api/totals': {
    totals: {
      creditedMsat: 30_000,
      spentMsat: 1500,
      balanceMsat: 28_500,
      reservedMsat: 0,
      expiredMsat: 0,
      accounts: 1,
      claims: 2,
    },
  },
  '/api/services': {
    services: [
      {
        name: 'quote',
        match: { path: '/<b>quote' },
        price: '10 sat',
        sinceStart: { requests: { served: 3 }, challenges: 4, redemptions: 2, earnedMsat: 20_000 },
      },
    ],
  },
  '/api/node': { node: { alias: 'bob', type: 'simulated', network: 'regtest' } },
};
const answer = (url: string) => Response.json(ANSWERS[url]);

test('the dashboard takes the token from the address, hides it there, and shows the numbers as text', async () => {
  const page = runPageScript({
    html,
    location: 'http://127.0.0.1:8403/#token=secret-token',
    respond: answer,
  });
  await page.until('services', /quote/);
  assert.equal(page.storage.get('sluice-admin-token'), 'secret-token');
  assert.ok(page.requests.every(({ headers }) => headers['Authorization'] === 'Bearer secret-token'));
  assert.match(page.byId('money').text(), /Credited 30 sat.*1,500 msat.*Accounts 1/s);
  assert.match(page.byId('parts').text(), /store up.*bob \(simulated, regtest\)/);
  assert.match(page.byId('services').text(), /quote \/<b>quote 10 sat 3 4 2 20 sat/);
  assert.equal(page.byId('play-money').hidden, false);
  assert.match(page.byId('status').textContent, /^Ready · version 1\.2\.3/);
});

test('without a token, or with a wrong one, the dashboard asks for it', async () => {
  const none = runPageScript({ html, location: 'http://127.0.0.1:8403/', respond: answer });
  assert.equal(none.byId('login').hidden, false);
  assert.equal(none.requests.length, 0);
  const wrong = runPageScript({
    html,
    location: 'http://127.0.0.1:8403/#token=wrong',
    respond: () => Response.json({}, { status: 401 }),
  });
  await wrong.until('status', /Enter the admin token/);
  assert.equal(wrong.storage.size, 0);
});

test('a store that is down leaves the rest of the dashboard standing', async () => {
  const page = runPageScript({
    html,
    location: 'http://127.0.0.1:8403/#token=x',
    respond: (url) => (url === '/api/totals' ? Response.json({}, { status: 503 }) : answer(url)),
  });
  await page.until('money', /Store does not answer/);
  await page.until('services', /quote/);
});
