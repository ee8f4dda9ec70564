import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { GatewayError, toErrorAnswer } from '../errors.ts';
import { StoreError } from '../ledger/store.ts';
import type { Log } from '../observe/log.ts';

/** Sends JSON that nobody may keep: these answers hold preimages and balances. */
export function sendJson(response: Response, status: number, body: object): void {
  response
    .status(status)
    .set('Cache-Control', 'no-store')
    .type('application/json')
    .send(`${JSON.stringify(body)}\n`);
}

/** Sends `{"error":{"code","message"}}`. */
export function sendError(response: Response, status: number, code: string, message: string): void {
  sendJson(response, status, { error: { code, message } });
}

/** What was asked for does not exist here. */
export function answerUnknown(request: Request, response: Response): void {
  sendError(
    response,
    404,
    'not-found',
    `There is no ${request.method} ${request.baseUrl}${request.path} here.`,
  );
}

/** Express's last handler: any error as JSON; what the operator should see goes to the log, which hides secrets. */
export function answerErrors(log: Log) {
  return (error: unknown, request: Request, response: Response, next: NextFunction): void => {
    if (response.headersSent) {
      next(error);
      return;
    }
    const known = toKnown(error);
    const answer = toErrorAnswer(known);
    if (!(known instanceof GatewayError)) {
      log.error('a control-plane request failed', { path: request.path, err: known });
    } else if (answer.status >= 500) {
      log.warn('a control-plane request could not be answered', {
        path: request.path,
        code: known.code,
        err: known.cause,
      });
    }
    for (let index = 0; index + 1 < answer.headers.length; index += 2) {
      response.setHeader(answer.headers[index] ?? '', answer.headers[index + 1] ?? '');
    }
    response.status(answer.status).end(answer.body);
  };
}

/** What is not known stays as it is: a bug. Express and its body parsers mark what the client did wrong with a 4xx. */
function toKnown(error: unknown): unknown {
  if (error instanceof GatewayError) return error;
  if (error instanceof StoreError && error.code === 'unavailable') {
    return new GatewayError('store-unavailable', 'The store does not answer; try again.', {
      cause: error,
      retryAfterSec: 2,
    });
  }
  if (!(error instanceof Error) || !('status' in error) || typeof error.status !== 'number') return error;
  if (error.status === 413) return new GatewayError('body-too-large', 'The body is too large.');
  if (error.status < 400 || error.status > 499) return error;
  return new GatewayError('bad-request', 'The request has a path or a body that can not be decoded.');
}

/** Answers that are the same for every method but one. */
export function refuseMethod(allowed: string): RequestHandler {
  return (request, response) => {
    response.set('Allow', allowed);
    sendError(response, 405, 'method-refused', `${request.method} does nothing here; use ${allowed}.`);
  };
}
