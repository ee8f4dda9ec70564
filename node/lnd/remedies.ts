/** What each state of LND (`lnrpc.WalletState`) means, and what to do about it. */
export const STATE_REMEDIES: Readonly<Record<string, string>> = {
  NON_EXISTING: 'LND has no wallet yet: make one with "lncli create".',
  LOCKED:
    'LND\'s wallet is locked: unlock it with "lncli unlock" (wallet-unlock-password-file in lnd.conf does it at each start).',
  UNLOCKED: 'LND is starting: it opens its wallet. Wait.',
  RPC_ACTIVE: 'LND is starting: it follows the chain, and serves when it has caught up. Wait.',
  WAITING_TO_START:
    'LND has not begun to start: it opens its database, or waits to become the leader of its cluster. Wait, or point node.url at the leader.',
};

/** What LND 0.21.1 answers to everything while it is in a state (rpcperms/interceptor.go). */
const STATE_TEXTS: readonly (readonly [RegExp, keyof typeof STATE_REMEDIES])[] = [
  [/wallet not created/i, 'NON_EXISTING'],
  [/wallet locked/i, 'LOCKED'],
  [/waiting to start/i, 'WAITING_TO_START'],
];

/** What to do about a refusal of an LND that is not up; `undefined` when it does not say why. */
export function remedyOf(message: string): string | undefined {
  const state = STATE_TEXTS.find(([text]) => text.test(message))?.[1];
  return state === undefined ? undefined : STATE_REMEDIES[state];
}
