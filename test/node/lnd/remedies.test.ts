import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { NODE_REMEDIES } from '../../../gateway/cli/doctor/node-failure.ts';
import { STATE_REMEDIES } from '../../../node/lnd/remedies.ts';
import { NodeError } from '../../../node/node.ts';
import { take } from '../../contract/node.contract.ts';
import { type Answer, HASH, json, REQUEST, withNode } from './fake-lnd.ts';

/*
 * What LND 0.21.1-beta answered in each of its states (seen on a real one without --noseedbackup): the same text to every
 * call but `/v1/state`, in a stream wrapped in `error`.
 */
const STARTING = 'the RPC server is in the process of starting up, but not yet ready to accept calls';
const SEEN: readonly (readonly [state: string, text: string, says: RegExp])[] = [
  ['WAITING_TO_START', 'waiting to start, RPC services not available', /^LND has not begun to start: /],
  [
    'NON_EXISTING',
    'wallet not created, create one to enable full RPC access',
    /^LND has no wallet yet: .*lncli create/,
  ],
  ['LOCKED', 'wallet locked, unlock it to enable full RPC access', /^LND's wallet is locked: .*lncli unlock/],
  ['UNLOCKED', STARTING, /^LND is starting.*Wait\.$/],
  ['RPC_ACTIVE', STARTING, /^LND is starting.*Wait\.$/],
];

function lndIn(state: string, message: string): Answer {
  const refusal = { code: 2, message, details: [] };
  return (request, response, body) => {
    const { url = '' } = request;
    const isStream = /subscribe|router/.test(url);
    const answer =
      url === '/v1/state' ? json(200, { state }) : json(500, isStream ? { error: refusal } : refusal);
    answer(request, response, body);
  };
}

describe('an LND that is not up', () => {
  for (const [state, text, says] of SEEN) {
    test(`${state}: every call says what to do`, () =>
      withNode(lndIn(state, text), async (node) => {
        const calls: Promise<unknown>[] = [
          node.info(),
          node.createInvoice(REQUEST),
          node.lookupInvoice(HASH),
          node.hold?.create({ ...REQUEST, paymentHash: HASH }) ?? Promise.resolve(),
          node.receivable?.() ?? Promise.resolve(),
          node.lookupPayment(HASH),
          take(node, 5, 1),
        ];
        for (const outcome of await Promise.allSettled(calls)) {
          assert.ok(outcome.status === 'rejected' && outcome.reason instanceof NodeError);
          assert.equal(outcome.reason.code, 'not-ready', outcome.reason.message);
          assert.match(outcome.reason.message, says);
        }
      }));
  }

  test('its state is asked for where its refusal does not tell it', () =>
    withNode(lndIn('RPC_ACTIVE', STARTING), (node) =>
      assert.rejects(node.info(), { message: STATE_REMEDIES['RPC_ACTIVE'] }),
    ));
});

test('docs/lnd.md names every error code, and every state of LND', () => {
  const page = readFileSync(new URL('../../../docs/lnd.md', import.meta.url), 'utf8');
  const table = page.slice(page.indexOf('## Errors, and what to do'));
  for (const code of Object.keys(NODE_REMEDIES)) assert.ok(table.includes(`| \`${code}\` |`), code);
  for (const remedy of Object.values(STATE_REMEDIES)) {
    const says = remedy.slice(0, remedy.indexOf(':'));
    assert.ok(table.includes(`| \`${says}\` |`), says);
  }
});
