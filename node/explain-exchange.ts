import { ExchangeCut } from './bounded-answer.ts';
import { codeOf, isCertificateCode, isClientCertificateCode } from './connect.ts';
import { NodeError } from './node.ts';

/** More requests than a connection to a node takes. */
export function busyNode(concurrency: number): NodeError {
  return new NodeError('busy', `${concurrency} requests to the node are under way already; try again soon.`);
}

/** The errors of undici, of HTTP/2 and of the system as ours. Their texts hold addresses and no headers; only codes are passed on. */
export function explainExchange(error: unknown, host: string): NodeError {
  if (error instanceof NodeError) return error;
  if (error instanceof ExchangeCut) {
    const why = {
      over: `The node at ${host} did not answer in time.`,
      'given-up': `The node at ${host} did not answer while its caller waited.`,
    };
    return new NodeError('timeout', why[error.reason], { cause: error });
  }
  const code = codeOf(error);
  if (isCertificateCode(code)) {
    return new NodeError(
      'unreachable',
      `The node at ${host} shows another certificate than the configured one (${code}): give the tls.cert that it uses now.`,
      { cause: error },
    );
  }
  if (isClientCertificateCode(code)) {
    return new NodeError(
      'unreachable',
      `The server at ${host} wants a client certificate, or another one (${code}): set node.clientCertFile and node.clientKeyFile.`,
      { cause: error },
    );
  }
  return new NodeError('unreachable', `The node at ${host} can't be reached (${code}).`, { cause: error });
}
