import { loadSettings, type Loaded } from '../../../src/config/load.ts'
import { formatFinding, type Finding } from '../../../src/config/finding.ts'

/** The smallest file that loads without a word, by lines. */
export const GOOD = [
  'public_url: http://localhost:8080',
  'provider:',
  '  issuer: https://id.example.com',
  '  client_id: shop',
  '  client_auth: [{ client_secret_file: /run/secret }]',
] as const

/** A route that is right in everything. */
export const ROUTE = ['routes:', '  - path: /api', '    upstream: http://api:1', '    token: { principal: user, audience: api }'] as const

export interface From {
  readonly env?: Readonly<Record<string, string>>
  readonly files?: Readonly<Record<string, string>>
}

export const load = (text: string, from: From = {}): Loaded =>
  loadSettings({
    file: '/etc/sallyport/gateway.yaml',
    text,
    env: from.env ?? {},
    readFile: (path) => {
      const content = from.files?.[path]
      if (content === undefined) throw new Error('no such file')
      return content
    },
  })

export const loaded = (text: string, from: From = {}): Extract<Loaded, { kind: 'ok' }> => {
  const result = load(text, from)
  if (result.kind === 'refused') throw new Error(result.findings.map((finding) => formatFinding(finding)).join('\n\n'))
  return result
}

export const findingsOf = (result: Loaded): readonly Finding[] => (result.kind === 'ok' ? result.warnings : result.findings)

/** `GOOD` with one line replaced, found by how it starts; and lines added at the end. */
export const good = (replace: Readonly<Record<string, string>> = {}, add: readonly string[] = []): string =>
  [...GOOD.map((line) => Object.entries(replace).find(([start]) => line.trimStart().startsWith(start))?.[1] ?? line), ...add].join('\n')
