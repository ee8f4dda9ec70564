/** The same answer around another body; `new Response` alone would forget its address. */
export function copyResponse(response: Response, body: ReadableStream<Uint8Array> | null): Response {
  if (body === null) return response;
  const { status, statusText, headers, url, redirected } = response;
  const copy = new Response(body, { status, statusText, headers });
  Object.defineProperties(copy, { url: { value: url }, redirected: { value: redirected } });
  return copy;
}
