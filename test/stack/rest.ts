/** An answer of the REST API, read whole. */
export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of a body, field by field
  readonly body: any;
  readonly headers: Headers;
}

export type Rest = ReturnType<typeof createRest>;

/** The API as a client sees it: plain HTTP and a key. With `others`, requests go to one process of it after the other. */
export function createRest(url: string, key: string, others: readonly string[] = []) {
  const urls = [url, ...others];
  let asked = 0;
  const send = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    asked += 1;
    const response = await fetch(`${urls[asked % urls.length]}${path}`, {
      method,
      redirect: 'manual',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  };
  return {
    url,
    key,
    get: (path: string, headers?: Record<string, string>) => send('GET', path, undefined, headers),
    post: (path: string, body?: unknown, headers?: Record<string, string>) => send('POST', path, body, headers),
    patch: (path: string, body?: unknown) => send('PATCH', path, body),
    delete: (path: string) => send('DELETE', path),
  };
}
