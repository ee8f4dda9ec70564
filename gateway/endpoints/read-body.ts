import express, { type Request, type Response } from 'express';
import { GatewayError } from '../errors.ts';

const MAX_BODY_BYTES = 4_096;

// Whatever the Content-Type says, because `curl -d` says it is a form. Not compressed: nothing this short has to be.
const parse = express.json({ limit: MAX_BODY_BYTES, inflate: false, type: () => true });

/**
 * Reads a small JSON object; no body is an empty one. Called after the credential held: a stranger's body is not read.
 * @throws GatewayError `bad-request`, and what Express's parser throws (a status of 4xx)
 */
export async function readJsonObject(
  request: Request,
  response: Response,
): Promise<Readonly<Record<string, unknown>>> {
  await new Promise<void>((resolve, reject) => {
    parse(request, response, (error: unknown) => (error === undefined ? resolve() : reject(error)));
  });
  const body: unknown = request.body;
  if (body === undefined) return {};
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new GatewayError('bad-request', 'The body must be a JSON object.');
  }
  return { ...body };
}
