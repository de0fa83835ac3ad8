/** A module as its client names it. */
export type ModuleName = {
  readonly hash: string;
  readonly name?: string;
  readonly category?: string;
  readonly tenant?: string;
  readonly namespace?: string;
};

/** The query that names a module. */
export function moduleQuery(module: ModuleName): string {
  const { hash, name = "Module.framework", category = "builds" } = module;
  const { tenant = "acme", namespace = "ios" } = module;
  return String(
    new URLSearchParams({
      tenant_id: tenant,
      namespace_id: namespace,
      hash,
      name,
      cache_category: category,
    }),
  );
}

export function startModule(url: string, module: ModuleName): Promise<Response> {
  return fetch(`${url}/api/cache/module/start?${moduleQuery(module)}`, { method: "POST" });
}

/** The id of a new upload, or null when the module is there. @throws when the answer is not 200. */
export async function startUpload(url: string, module: ModuleName): Promise<string | null> {
  const answer = await startModule(url, module);
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`Start answered ${answer.status}: ${text}`);
  return (JSON.parse(text) as { upload_id: string | null }).upload_id;
}

/** The same where the module is known to be absent. */
export async function openUpload(url: string, module: ModuleName): Promise<string> {
  const id = await startUpload(url, module);
  if (id === null) throw new Error(`The module ${module.hash} is there already`);
  return id;
}

export function sendPart(
  url: string,
  part: { id: string; number: number | string; body: BodyInit; query?: string },
): Promise<Response> {
  const { id, number, body, query = "" } = part;
  const target = `/api/cache/module/part?upload_id=${id}&part_number=${number}${query}`;
  return fetch(url + target, { method: "POST", body });
}

export function completeModule(
  url: string,
  completion: { id: string; document: unknown; query?: string },
): Promise<Response> {
  const { id, document, query = "" } = completion;
  return fetch(`${url}/api/cache/module/complete?upload_id=${id}${query}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(document),
  });
}

export function getModule(
  url: string,
  module: ModuleName,
  init: RequestInit = {},
): Promise<Response> {
  return fetch(`${url}/api/cache/module/any-id?${moduleQuery(module)}`, init);
}

/** Status of HEAD: 204 or 404. */
export async function headModule(url: string, module: ModuleName): Promise<number> {
  return (await getModule(url, module, { method: "HEAD" })).status;
}

/** Bytes that differ from part to part and from place to place. */
export function partBody(number: number, sizeBytes: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(sizeBytes / 4));
  let state = (number * 2_654_435_761 + 1) >>> 0;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, sizeBytes);
}

/** A whole upload, part by part. @throws when a step is not answered as it should be. */
export async function uploadModule(
  url: string,
  module: ModuleName,
  parts: readonly Uint8Array<ArrayBuffer>[],
): Promise<void> {
  const id = await openUpload(url, module);
  for (const [place, body] of parts.entries()) {
    const { status } = await sendPart(url, { id, number: place + 1, body });
    if (status !== 204) throw new Error(`Part ${place + 1} answered ${status}`);
  }
  const document = { parts: parts.map((_, place) => place + 1) };
  const completed = await completeModule(url, { id, document });
  if (completed.status !== 204) throw new Error(`Complete answered ${completed.status}`);
}
