/** LND's reasons for a failed payment (`lnrpc.PaymentFailureReason`) in words for a person. */
const WORDS: Readonly<Record<string, string>> = {
  FAILURE_REASON_TIMEOUT: 'no route was found in time',
  FAILURE_REASON_NO_ROUTE: 'no route to the payee within the fee limit',
  FAILURE_REASON_ERROR: 'the node failed',
  FAILURE_REASON_INCORRECT_PAYMENT_DETAILS:
    'the payee refused it: the invoice is paid, cancelled, expired or unknown there',
  FAILURE_REASON_INSUFFICIENT_BALANCE: 'insufficient balance',
  FAILURE_REASON_CANCELED: 'it was cancelled',
};

/** Why a payment failed, as a person reads it. */
export function describeFailure(reason: string): string {
  return WORDS[reason] ?? 'the node gave no reason';
}
