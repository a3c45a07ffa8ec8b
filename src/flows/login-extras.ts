/** What a page may add to the authorization request; everything else in the query is ignored (security.md 18: no scope, acr, claims from the browser). */
const PROMPTS: ReadonlySet<string> = new Set(['none', 'login', 'consent', 'select_account'])

const GRAMMARS: Readonly<Record<string, (value: string) => boolean>> = {
  prompt: (value) => {
    const words = value.split(' ')
    if (words.includes('none') && words.length > 1) return false // OIDC Core §3.1.2.1
    return new Set(words).size === words.length && words.every((word) => PROMPTS.has(word))
  },
  login_hint: (value) => value.length <= 256 && /^[^\p{C}\p{Z}]+(?: [^\p{C}\p{Z}]+)*$/u.test(value),
  domain_hint: (value) => /^[A-Za-z0-9][A-Za-z0-9.-]{0,252}$/.test(value),
  ui_locales: (value) => /^[A-Za-z0-9-]{1,35}(?: [A-Za-z0-9-]{1,35}){0,7}$/.test(value),
}

/** @returns undefined when one of them is malformed */
export const loginExtras = (get: (name: string) => string | undefined): Readonly<Record<string, string>> | undefined => {
  const extras: Record<string, string> = {}
  for (const [name, valid] of Object.entries(GRAMMARS)) {
    const value = get(name)
    if (value === undefined || value === '') continue
    if (!valid(value)) return undefined
    extras[name] = value
  }
  return extras
}
