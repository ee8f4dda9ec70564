import type { BusMessage } from './bus.ts';

/** What goes over the wire: a message, or a beat, by which a sender hears that it hears itself. */
export type WireMessage = BusMessage | { readonly kind: 'beat' };

/** A message, and the process that sent it. */
export interface Received {
  /** 16 hex digits. */
  readonly sender: string;
  readonly message: WireMessage;
}

/** The longest message that is looked at, characters: the longest one that is ever sent is shorter. */
export const MAX_MESSAGE_LENGTH = 250;

/** Version, sender, kind, and what it is about: an account id of 2 to 128 hex digits, a payment hash, or both. */
const MESSAGE =
  /^1 ([0-9a-f]{16}) (?:(beat)|(settled) ([0-9a-f]{64})|(revoked) ([0-9a-f]{2,128})|(credited) ([0-9a-f]{2,128}) ([0-9a-f]{64}))$/;

/** One line of text. @param sender - 16 hex digits */
export function encodeMessage(sender: string, message: WireMessage): string {
  const head = `1 ${sender} ${message.kind}`;
  switch (message.kind) {
    case 'credited':
      return `${head} ${message.accountId} ${message.paymentHash}`;
    case 'revoked':
      return `${head} ${message.accountId}`;
    case 'settled':
      return `${head} ${message.paymentHash}`;
    case 'beat':
      return head;
  }
}

/** Reads what somebody wrote to the channel, perhaps another version or somebody hostile; `undefined`: not a message of ours. */
export function decodeMessage(text: string): Received | undefined {
  if (text.length > MAX_MESSAGE_LENGTH) return undefined;
  const parts = MESSAGE.exec(text)?.filter((part) => part !== undefined) ?? [];
  const [, sender, kind, first = '', second = ''] = parts;
  if (sender === undefined) return undefined;
  switch (kind) {
    case 'beat':
      return { sender, message: { kind } };
    case 'settled':
      return { sender, message: { kind, paymentHash: first } };
    case 'revoked':
      return { sender, message: { kind, accountId: first } };
    case 'credited':
      return { sender, message: { kind, accountId: first, paymentHash: second } };
    default:
      return undefined;
  }
}
