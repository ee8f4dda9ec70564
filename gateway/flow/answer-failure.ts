import type { ServerResponse } from 'node:http';
import type { ServiceConfig } from '../../config/config.ts';
import { GatewayError, toErrorAnswer } from '../errors.ts';
import type { ForwardOutcome, UpstreamFailurePhase } from '../proxy/forward.ts';
import { corsHeaders } from './cors.ts';
import type { Exchange } from './exchange.ts';

const FAILURES: Record<UpstreamFailurePhase, () => GatewayError> = {
  connect: () =>
    new GatewayError(
      'upstream-refused',
      'The upstream can not be reached. This request costs nothing; try again later.',
      {
        retryAfterSec: 5,
      },
    ),
  timeout: () =>
    new GatewayError('upstream-timeout', 'The upstream did not answer in time. This request costs nothing.'),
  reset: () =>
    new GatewayError(
      'upstream-protocol',
      'The upstream broke the connection off before it answered. This request costs nothing.',
    ),
  protocol: () =>
    new GatewayError(
      'upstream-protocol',
      'The upstream did not answer in valid HTTP. This request costs nothing.',
    ),
};

/**
 * Answers a request whose upstream gave no response; does nothing when one has begun or the client is gone.
 * @param beside - headers of the answer that tell who paid what is left
 */
export function answerFailure(
  { res, config, service }: Exchange,
  forwarded: ForwardOutcome,
  beside: readonly string[] = [],
): void {
  const error = failureOf(service, forwarded);
  if (error !== undefined) sendError(res, error, config.corsOrigins, beside);
}

function failureOf(service: ServiceConfig, forwarded: ForwardOutcome): GatewayError | undefined {
  if (forwarded.kind === 'upstream-failed') return FAILURES[forwarded.phase]();
  return forwarded.kind === 'body-too-large' && forwarded.when !== 'reset'
    ? bodyTooLarge(service)
    : undefined;
}

/** What a request body over the service's bound is answered with. */
export function bodyTooLarge({ maxBodyBytes }: Pick<ServiceConfig, 'maxBodyBytes'>): GatewayError {
  return new GatewayError(
    'body-too-large',
    `The request body is over the ${maxBodyBytes} bytes that this service takes.`,
  );
}

/**
 * Writes an error as the answer, unless another one has begun.
 * @param corsOrigins - who may read it from a page of another origin: without that, a script sees a network failure
 * @param beside - headers that it has beside its own
 */
export function sendError(
  res: ServerResponse,
  error: unknown,
  corsOrigins: readonly string[],
  beside: readonly string[] = [],
): void {
  if (res.headersSent || res.destroyed) return;
  const { status, headers, body } = toErrorAnswer(error);
  res.writeHead(status, [...headers, ...beside, ...corsHeaders(res.req, corsOrigins)]);
  res.end(body);
}
