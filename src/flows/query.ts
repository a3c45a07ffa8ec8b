/** Parameters of an own endpoint, each at most once (RFC 6749 §3.1: repeated ones are refused, not last-wins). */
export type Query =
  | { readonly kind: 'query'; readonly get: (name: string) => string | undefined; readonly all: URLSearchParams }
  | { readonly kind: 'doubled' }

/** @param url the request target as it came */
export const queryOf = (url: string): Query => {
  const start = url.indexOf('?')
  const all = new URLSearchParams(start === -1 ? '' : url.slice(start + 1))
  const names = new Set<string>()
  for (const name of all.keys()) {
    if (names.has(name)) return { kind: 'doubled' }
    names.add(name)
  }
  return { kind: 'query', get: (name) => all.get(name) ?? undefined, all }
}
