import { NodeError } from '../../node/node.ts';
import { PaymentError, type PaymentErrorCode } from '../errors.ts';
import { TokenFileError } from '../file-token-store.ts';

/** curl's own numbers where curl has one. */
export const EXIT = {
  ok: 0,
  usage: 2,
  badUrl: 3,
  dns: 6,
  connect: 7,
  partial: 18,
  httpError: 22,
  write: 23,
  read: 26,
  timeout: 28,
  tls: 60,
  receive: 56,
  /** Payment was asked and refused here: over the budget, wrong network, an invoice that does not fit. Nothing was paid. */
  refused: 110,
  /** The wallet could not pay, or the payment failed. Nothing was paid. */
  walletFailed: 111,
  /** It is not known yet whether the payment succeeded. Run it again: it is not paid twice. */
  unknown: 112,
  /** It was paid and there is no answer. The token is kept. */
  paidInVain: 113,
  /** The token store can't be used. */
  store: 114,
  interrupted: 130,
} as const;

const PAYMENT_EXITS: Readonly<Record<PaymentErrorCode, number>> = {
  'no-challenge': EXIT.refused,
  'bad-invoice': EXIT.refused,
  'invoice-mismatch': EXIT.refused,
  'invoice-expired': EXIT.refused,
  'wrong-network': EXIT.refused,
  'over-budget': EXIT.refused,
  declined: EXIT.refused,
  'not-replayable': EXIT.refused,
  'authorization-conflict': EXIT.refused,
  'store-failed': EXIT.store,
  'wallet-failed': EXIT.walletFailed,
  'payment-failed': EXIT.walletFailed,
  'payment-unknown': EXIT.unknown,
  'paid-but-refused': EXIT.paidInVain,
  'paid-but-lost': EXIT.paidInVain,
  'too-many-purchases': EXIT.paidInVain,
  'top-up-refused': EXIT.refused,
  'stream-cut': EXIT.partial,
};

/** Why a command fails by what its user wrote. */
export class UsageError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number = EXIT.usage) {
    super(message);
    this.name = 'UsageError';
    this.exitCode = exitCode;
  }
}

const NETWORK_EXITS: Readonly<Record<string, number>> = {
  ENOTFOUND: EXIT.dns,
  EAI_AGAIN: EXIT.dns,
  ECONNREFUSED: EXIT.connect,
  EHOSTUNREACH: EXIT.connect,
  ENETUNREACH: EXIT.connect,
  ETIMEDOUT: EXIT.timeout,
  UND_ERR_CONNECT_TIMEOUT: EXIT.timeout,
  UND_ERR_HEADERS_TIMEOUT: EXIT.timeout,
  UND_ERR_BODY_TIMEOUT: EXIT.timeout,
  ECONNRESET: EXIT.receive,
  UND_ERR_SOCKET: EXIT.receive,
};

const MAX_CAUSES = 8;

/** The exit code and the words for what went wrong. The words of network errors name the innermost reason. */
export function describeFailure(error: unknown): { readonly exitCode: number; readonly message: string } {
  if (error instanceof UsageError) return { exitCode: error.exitCode, message: error.message };
  if (error instanceof PaymentError) return { exitCode: PAYMENT_EXITS[error.code], message: error.message };
  if (error instanceof TokenFileError) return { exitCode: EXIT.store, message: error.message };
  if (error instanceof NodeError) return { exitCode: EXIT.walletFailed, message: error.message };
  let at: unknown = error;
  let message = error instanceof Error ? error.message : String(error);
  for (let depth = 0; depth < MAX_CAUSES && at instanceof Error; depth += 1) {
    if (at.message !== '') message = at.message;
    if (at.name === 'TimeoutError') return { exitCode: EXIT.timeout, message: 'The time is over.' };
    const code = 'code' in at ? String(at.code) : '';
    const exitCode = NETWORK_EXITS[code] ?? (/CERT|SIGNED|SSL|TLS/.test(code) ? EXIT.tls : undefined);
    if (exitCode !== undefined) return { exitCode, message: message === '' ? code : message };
    at = at.cause;
  }
  return { exitCode: EXIT.receive, message };
}
