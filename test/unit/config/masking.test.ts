import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { effective, effectiveList, effectiveYaml } from '../../../src/config/effective.ts'
import { formatFinding } from '../../../src/config/finding.ts'
import type { Loaded } from '../../../src/config/load.ts'
import { canary, expectNoLeak } from '../../harness/canary.ts'
import { findingsOf, good, load, ROUTE, type From } from './a-config.ts'

/** Everything that may leave this room: findings as text and JSON, the printed settings, the settings as JSON. */
const printed = (result: Loaded): string => {
  const findings = findingsOf(result)
  const said = [...findings.map((finding) => formatFinding(finding)), JSON.stringify(findings)]
  if (result.kind === 'refused') return said.join('\n')
  const root = effective(result.written, result.origins)
  return [
    ...said,
    effectiveYaml(root),
    JSON.stringify(effectiveList(root)),
    JSON.stringify(result.settings),
    JSON.stringify([...result.origins]),
  ].join('\n')
}

const S = canary('config')
const redisAt = (url: string): string[] => ['session:', '  keys_dir: /k', `  store: { redis: { url: "${url}" } }`]
const auth = (entry: string): string => good({ client_auth: `  client_auth: [{ ${entry} }]` })

describe('a secret is never printed', () => {
  it.each<[string, string, From?]>([
    ['in its place', auth(`client_secret: ${S}`)],
    ['in quotes', auth(`client_secret: "${S}"`)],
    ['under a mistyped name', auth(`client_secrt: ${S}`)],
    ['under a name in capitals', auth(`CLIENT_SECRET: ${S}`)],
    ['under a mistyped parent', good({ client_auth: `  cleint_auth: [{ client_secret: ${S} }]` })],
    ['one level too high', good({ client_auth: `  client_secret: ${S}` })],
    ['at the top', good({}, [`password: ${S}`])],
    ['without the space after the colon', good({ client_auth: `  client_secret:${S}` })],
    ['without the space, in a flow mapping', auth(`client_secret:${S}`)],
    ['as a key', good({}, [`${S}: 1`])],
    ['as a key below a secret', auth(`client_secret: { ${S}: 1 }`)],
    ['as a key with a secret’s mistyped name above', auth(`client_secrte: { ${S}: 1 }`)],
    ['in a list below a secret', auth(`client_secret: [${S}]`)],
    ['in place of the list', good({ client_auth: `  client_auth: ${S}` })],
    ['where a file name belongs, beside a fault', auth(`client_secret_file: ${S}, method: x`)],
    ['in a comment of a faulty line', good({ issuer: `  issuer: http://id.example.com # ${S}` })],
    ['in a quote that never ends', auth(`client_secret: "${S}`)],
    ['in a block scalar', good({ client_auth: `  client_secret: |\n    ${S}\n    ${S}` })],
    ['as an anchor', auth(`client_secret: &${S} x`)],
    ['as an alias', auth(`client_secret: *${S}`)],
    ['as a tag', auth(`client_secret: !${S} x`)],
    ['after a tab', `${good()}\n\tpassword: ${S}`],
    ['written twice', auth(`client_secret: ${S}, client_secret: ${S}`)],
    ['after a second document', `${good()}\n---\npassword: ${S}`],
    ['after a directive', `%${S}\n---\n${good()}`],
    ['beside a reference', auth(`client_secret: "${S}\${env:X}"`), { env: { X: 'x' } }],
    ['in a reference that is none', auth(`client_secret: "\${${S}}"`)],
    ['in an unquoted reference', auth(`client_secret: \${${S}}`)],
    ['in the URL of Redis', good({}, ['session:', '  keys_dir: /k', `  store: { redis: { url: "rediss://u:${S}@r" } }`])],
    ['in the URL of Redis, malformed', good({}, ['session:', '  keys_dir: /k', `  store: { redis: { url: "rediss://:${S}@r:port" } }`])],
    ['in the URL of Redis, with a slash', good({}, redisAt(`redis://:x/${S}@r`))],
    ['in the URL of Redis, with a question mark and a hash', good({}, redisAt(`redis://u:x?${S}#x@r`))],
    ['in the URL of Redis, with a blank', good({}, redisAt(`redis://u:x ${S}@r`))],
    ['in the URL of Redis, with an at sign', good({}, redisAt(`redis://u:x@${S}@r`))],
    ['in the URL of Redis, the host forgotten', good({}, redisAt(`redis://u:${S}`))],
    [
      'in the URL of Redis, where a comment cuts it',
      good({}, ['session:', '  keys_dir: /k', '  store:', '    redis:', `      url: redis://:${S} #x@r`]),
    ],
    [
      'in the URL of an upstream, with a slash',
      good({}, ['routes:', '  - path: /a', `    upstream: http://u:x/${S}@up`, '    token: { principal: none }']),
    ],
    ['in the URL of the provider', good({ issuer: `  issuer: https://u:${S}@id.example.com` })],
    ['in the URL of an upstream', good({}, ['routes:', '  - path: /a', `    upstream: http://${S}@up`, '    token: { principal: none }'])],
    ['in a header rule', good({}, [...ROUTE, `    headers: { request: { authorization: ${S} } }`])],
    ['from the environment, in its place', auth('client_secret: "${env:X}"'), { env: { X: S } }],
    ['from the environment, where a URL belongs', good({ issuer: '  issuer: ${env:X}' }), { env: { X: S } }],
    [
      'from the environment, where public_url belongs',
      good({ public_url: 'public_url: ${env:X}' }),
      { env: { X: `http://${S}.example.com/x` } },
    ],
    ['from the environment, where a path belongs', good({}, ['base_path: ${env:X}']), { env: { X: `/${S}/` } }],
    ['from the environment, where a network belongs', good({}, ['listen: { trusted_proxies: ["${env:X}"] }']), { env: { X: S } }],
    ['from the environment, where a choice belongs', good({}, ['telemetry: { log: { level: "${env:X}" } }']), { env: { X: S } }],
    ['from the environment, in a name that loads', good({ client_id: '  client_id: ${env:X}' }, ['frontend: {}']), { env: { X: S } }],
    [
      'from the environment, as two route paths',
      good({}, [
        'routes:',
        '  - { path: "${env:X}", upstream: http://a, token: { principal: none } }',
        '  - { path: "${env:X}", upstream: http://a, token: { principal: none } }',
      ]),
      { env: { X: `/${S}` } },
    ],
    ['from a file that is too strange for a value', good({ client_id: '  client_id: ${file:/x}' }), { files: { '/x': `${S}\u0000` } }],
  ])('%s', (_where, text, from) => {
    const result = load(text, from)
    expect(findingsOf(result).length, 'something must have been said').toBeGreaterThan(
      _where === 'from the environment, in its place' ? -1 : 0,
    )
    expectNoLeak([S], { printed: `${printed(result)}\n.` })
  })

  it('and the search would find it: a fault in a plain name is shown', () => {
    expect(() => expectNoLeak([S], { printed: printed(load(good({ public_url: `public_url: http://${S}.example.com` }))) })).toThrow(
      /deeply equal/,
    )
  })
})

it('what the terminal would obey is not copied', () => {
  const result = load(good({ public_url: 'public_url: http://a\u001b[2J\u202eb c.example.com' }))
  expect(result.kind).toBe('refused')
  expect(printed(result)).toContain('public_url: http://a')
  for (const sign of ['\u001b', '\u202e']) expect(printed(result)).not.toContain(sign)
})

describe('whatever the file holds', () => {
  const secret = canary('fuzz')
  const word = fc.constantFrom(
    'provider',
    'client_auth',
    'client_secret',
    'client_secrt',
    'password',
    'session',
    'store',
    'redis',
    'routes',
    'path',
    'token',
    'allow',
    'any_of',
    '__proto__',
    'x',
    'url',
  )
  const scalar = fc.oneof(
    fc.constant(secret),
    fc.constant(`"${secret}"`),
    fc.constant('${env:S}'),
    fc.constant(`https://a:${secret}@b`),
    word,
    fc.integer().map(String),
    fc.constant('~'),
    fc.constant('*x'),
    fc.constant('|'),
  )
  const line = fc
    .tuple(
      fc.integer({ min: 0, max: 4 }),
      fc.constantFrom('', '- ', '? '),
      word,
      fc.constantFrom(': ', ':', ' : ', ': {', ': [', ' '),
      scalar,
      fc.constantFrom('', ' }', ']', ',', ` # ${secret}`),
    )
    .map(([depth, dash, key, colon, value, end]) => `${'  '.repeat(depth)}${dash}${key}${colon}${value}${end}`)

  it('is answered, not thrown at, and no planted secret is printed', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 25 }), fc.boolean(), (lines, onGood) => {
        const result = load([...(onGood ? [good()] : []), ...lines].join('\n'), { env: { S: secret } })
        expect(printed(result)).not.toContain(secret)
      }),
      { numRuns: 1500 },
    )
  })

  it('any text at all', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        expect(['ok', 'refused']).toContain(load(text).kind)
      }),
      { numRuns: 500 },
    )
  })
})
