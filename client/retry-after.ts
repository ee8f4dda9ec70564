/** When a server wants to be asked again, ms from now (`Retry-After` in seconds, RFC 9110 section 10.2.3); `undefined` when it does not say. */
export function retryAfterMsOf(response: Response): number | undefined {
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return seconds >= 0 ? seconds * 1000 : undefined;
}
