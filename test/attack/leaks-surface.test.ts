import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cpuMs } from '../harness/cpu-time.ts'
import { settingsSchema } from '../../src/config/schema.ts'
import { secretFileSource } from '../../src/credentials/source-secret-file.ts'
import { returnTo } from '../../src/login/return-to.ts'
import { canonicalPath } from '../../src/policy/canonical-path.ts'
import { compileAllow, roleSources } from '../../src/policy/decide.ts'
import { load, good } from '../unit/config/a-config.ts'
import { type EdgeHost, edgeHost, fetching, navigation, signedIn } from '../harness/edge-host.ts'
import { credentialSet, digestName } from '../harness/credential-set.ts'
import { askFor, providerRoom } from '../harness/provider-room.ts'
import { startHostileProvider } from '../harness/hostile-provider.ts'
import { exchangeRaw, parseAnswer } from '../harness/proxy-host.ts'
import { a } from '../harness/the.ts'

const file = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const codes = (text: string, from: Parameters<typeof load>[1] = {}): readonly string[] => {
  const result = load(text, from)
  return result.kind === 'refused' ? result.findings.map(({ code }) => code) : []
}

describe('secrets come from files and references, and change without a restart', () => {
  it.each<[string, string, string]>([
    ['a client secret', good({ client_auth: '  client_auth: [{ client_secret: hunter2 }]' }), 'config.secret-literal'],
    [
      'a Redis password',
      good({}, ['session: { keys_dir: /k, store: { redis: { url: "rediss://r", password: hunter2 } } }']),
      'config.secret-literal',
    ],
    [
      'a password in a Redis URL',
      good({}, ['session: { keys_dir: /k, store: { redis: { url: "rediss://u:hunter2@r" } } }']),
      'config.url-credentials',
    ],
    [
      'a password in an upstream URL',
      good({}, ['routes: [{ path: /a, upstream: "https://u:hunter2@up", token: { principal: none } }]']),
      'config.url-credentials',
    ],
    ['a password in the issuer', good({ issuer: '  issuer: https://u:hunter2@id.example.com' }), 'config.url-credentials'],
  ])('%s written into the configuration refuses the start, and is not repeated in the message', (_name, text, code) => {
    expect(codes(text)).toContain(code)
    const result = load(text)
    expect(JSON.stringify(result.kind === 'refused' ? result.findings : result)).not.toContain('hunter2')
  })
  it('a client secret that is rotated in its file is used by the next call, and the old one no more', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sallyport-secret-'))
    const path = join(dir, 'secret')
    writeFileSync(path, 'first-secret\n')
    const { set: source, lines } = await credentialSet([secretFileSource(path, 'client_secret_post', digestName)])
    const hostile = await startHostileProvider()
    const room = providerRoom(hostile.issuer, { clientAuth: source })
    const sent = async (): Promise<string | null> => {
      await room.provider.application(askFor('https://api.example', [], 'client_credentials'))
      return hostile.last('token').parameters.get('client_secret')
    }
    expect(await sent()).toBe('first-secret')
    writeFileSync(path, 'second-secret\n')
    await source.reload()
    expect(await sent()).toBe('second-secret') // tried in the same request, because the first is rejected
    const first = source.overview().credentials.find(({ state }) => state === 'active')
    expect(first && (await source.withdraw(first.id, false))).toMatchObject({ outcome: 'done' })
    await source.reload()
    expect(await sent()).toBe('second-secret')
    writeFileSync(path, '') // half written: what is in use stays in use
    await source.reload()
    expect(await sent()).toBe('second-secret')
    expect(JSON.stringify([lines, room.lines])).not.toMatch(/first-secret|second-secret/)
    await source.stop()
    await room.provider.close()
    await hostile.close()
    rmSync(dir, { recursive: true })
  })
})

describe('names that JavaScript gives a meaning of its own are only names', () => {
  const PROTO = ['__proto__', 'constructor', 'prototype']
  it.each(PROTO)('%s in the configuration refuses the start', (name) => {
    for (const text of [
      `${good()}\n${name}: { polluted: true }`,
      good({}, ['session:', `  ${name}: { polluted: true }`]),
      good({}, ['routes:', `  - ${name}: x`]),
    ])
      expect(codes(text).some((code) => code === 'config.key-forbidden' || code === 'config.key-unknown')).toBe(true)
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })
  it('in claims they open no route and show nobody anything', () => {
    const claims = JSON.parse(
      '{"sub":"mallory","__proto__":{"roles":["admin"],"admin":true},"constructor":{"prototype":{"roles":["admin"]}}}',
    ) as never
    const session = a.session({ grant: { claims } })
    for (const name of ['roles', 'admin', 'toString', ...PROTO])
      expect(compileAllow({ kind: 'claim', name, anyOf: ['admin', 'true', true as never] }, [])(session).effect, name).toBe('refuse')
    expect(compileAllow({ kind: 'role', anyOf: ['admin'] }, roleSources('keycloak', 'shop-gateway'))(session).effect).toBe('refuse')
  })
  it('in a request they are headers, cookies and parameters like others', async () => {
    const host = await edgeHost()
    const cookie = await signedIn(host)
    for (const name of [...PROTO, 'toString', 'hasOwnProperty']) {
      const lines = [
        `GET /bff/user?${name}=1&${name}[x]=2 HTTP/1.1`,
        `Host: localhost:${host.port}`,
        'X-CSRF: 1',
        `Cookie: ${name}=1; ${cookie}`,
        `${name}: 1`,
      ]
      const got = parseAnswer(await exchangeRaw(host.port, [...lines, 'Connection: close', '', ''].join('\r\n')))
      expect(got.status, name).toBe(200)
    }
    expect(({} as Record<string, unknown>)['x']).toBeUndefined()
    await host.close()
  })
})

describe('a parameter of another type is refused or is another name, never coerced', () => {
  let host: EdgeHost
  let cookie: string
  beforeAll(async () => {
    host = await edgeHost()
    cookie = await signedIn(host)
  })
  afterAll(() => host.close())
  const NAMES = ['[]', '[0]', '[a]', '.a', '[__proto__]']
  it.each(NAMES)('return_to%s is not return_to', async (suffix) => {
    const got = await host.ask(`/bff/login/resume?last=1&${encodeURIComponent(`return_to${suffix}`)}=/evil`, {
      headers: { ...navigation(), cookie },
    })
    expect([got.status, got.headers.location]).toEqual([303, '/'])
  })
  it.each(['code', 'state'])('%s as an array or object is no answer of a provider', async (name) => {
    for (const suffix of NAMES) {
      const got = await host.ask(`/bff/callback?${encodeURIComponent(name + suffix)}=x`, { headers: navigation('cross-site') })
      expect([got.status, got.headers['set-cookie']]).toEqual([200, undefined])
    }
    expect(host.redemptions).toHaveLength(1) // Alice's own
  })
  it.each(['1', '0', 'TRUE', 'null', 'undefined', '[]', '{}', 'false,true', ' false'])('slide=%s is 400', async (value) => {
    expect((await host.ask(`/bff/user?slide=${encodeURIComponent(value)}`, { headers: { ...fetching, cookie } })).status).toBe(400)
  })
  it.each([
    ['application/json', '{"return_to":["https://evil.example"],"slide":{"$gt":""}}'],
    ['application/json', '{"a":'],
    ['application/x-www-form-urlencoded', 'ref[]=1&__proto__[x]=1'],
    ['multipart/form-data; boundary=', 'x'],
    ['text/plain;\tcharset=\t', '<x/>'],
    ['', 'x'],
  ])('a body of %j decides nothing', async (type, body) => {
    const got = await host.ask('/bff/session/refresh', {
      method: 'POST',
      headers: { ...fetching, cookie, ...(type && { 'content-type': type }) },
      body,
    })
    expect(got.status).toBe(200)
  })
  it.each<[string, string]>([
    ['a list for a string', 'public_url: [http://localhost:8080]'],
    ['a mapping for a string', 'public_url: { a: b }'],
    ['a number for a string', 'public_url: 8080'],
  ])('%s in the configuration refuses the start', (_name, line) => {
    expect(codes(good({ public_url: line }))).toContain('config.value-type')
  })
})

describe('no pattern of a configuration is ever run', () => {
  it('no setting takes a regular expression: what looks like one is a literal', () => {
    const evil = '^(a+)+$'
    const session = a.session({ grant: { claims: { sub: 'x', team: `${'a'.repeat(50_000)}!` } } })
    const since = cpuMs()
    for (const value of [evil, '.*', '[a-z]+', 'a*'])
      expect(compileAllow({ kind: 'claim', name: 'team', anyOf: [value] }, [])(session).effect).toBe('refuse')
    expect(cpuMs() - since).toBeLessThan(1000)
    for (const path of ['/api/.*', '/api/(a|b)', '/api/[a-z]+', '^/api'])
      expect(codes(good({}, ['routes:', `  - path: "${path}"`, '    upstream: http://a:1', '    token: { principal: none }']))).toContain(
        'config.route-path-invalid',
      )
    // And nothing in the rooms that read settings builds one from a value.
    const sources = ['config', 'policy', 'assembly', 'edge', 'proxy', 'flows'].flatMap((room) =>
      readdirSync(new URL(`../../src/${room}`, import.meta.url), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => [`${room}/${name}`, file(`src/${room}/${name}`)] as const),
    )
    expect(sources.length).toBeGreaterThan(50)
    expect(sources.filter(([, text]) => /new RegExp\(|RegExp\(/.test(text)).map(([name]) => name)).toEqual([])
    expect(settingsSchema).toBeDefined()
  })
  it.each<[string, (n: number) => string]>([
    ['escapes', (n) => `/${'%41'.repeat(n / 3)}`],
    ['escapes of escapes', (n) => `/${'%25'.repeat(n / 3)}`],
    ['dots', (n) => `/${'.'.repeat(n)}x`],
    ['segments', (n) => `${'/a.'.repeat(n / 3)}\\`],
    ['slashes', (n) => '/'.repeat(n)],
    ['blanks', (n) => `/${' '.repeat(n)}.`],
    ['a query', (n) => `/a?${'&a=%'.repeat(n / 4)}\u0000`],
    ['semicolons', (n) => `/${';a'.repeat(n / 2)}`],
  ])('a path of 100 kB of %s is judged in linear time', (_name, make) => {
    const since = cpuMs()
    for (const length of [100_000, 100_000, 400_000]) {
      canonicalPath(make(length))
      returnTo(make(length), new URL('https://shop.example.com'))
    }
    expect(cpuMs() - since).toBeLessThan(1000)
  })
})

describe('what is shipped is what was chosen', () => {
  interface Lock {
    readonly packages: Readonly<
      Record<string, { readonly version?: string; readonly integrity?: string; readonly resolved?: string; readonly link?: boolean }>
    >
  }
  const pkg = JSON.parse(file('package.json')) as Record<string, Record<string, string>>

  it('every dependency is pinned to one version, and every package of the lockfile to one content', () => {
    const wanted = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) => Object.entries(pkg[kind] ?? {}))
    expect(wanted.length).toBeGreaterThan(20)
    expect(wanted.filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))).toEqual([])
    const packages = Object.entries((JSON.parse(file('package-lock.json')) as Lock).packages).filter(([path]) => path !== '')
    expect(packages.length).toBeGreaterThan(100)
    expect(packages.filter(([, one]) => !/^sha512-[\w+/]{86}==$/.test(one.integrity ?? '')).map(([path]) => path)).toEqual([])
    expect(
      packages.filter(([, one]) => one.link || (one.resolved !== undefined && !one.resolved.startsWith('https://'))).map(([path]) => path),
    ).toEqual([])
    for (const [name, version] of wanted)
      expect(packages.find(([path]) => path === `node_modules/${name}`)?.[1].version, name).toBe(version)
  })
  it('no package runs a script when it is installed: not here, not in the image, and none is allowed to', () => {
    expect(Object.values(pkg['allowScripts'] ?? {}).filter(Boolean)).toEqual([])
    const installs = file('Dockerfile').match(/npm (?:ci|install|i)\b.*/g) ?? []
    expect(installs.length).toBeGreaterThan(0)
    for (const line of installs) expect(line).toMatch(/^npm ci .*--ignore-scripts/)
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) expect(pkg['scripts']?.[name]).toBeUndefined()
  })
  it('the image has neither sources, nor history, nor tests, nor configuration, nor a shell', () => {
    const stages = file('Dockerfile')
      .split(/^FROM /m)
      .slice(1)
    const last = stages.at(-1) ?? ''
    expect(last).toMatch(/^gcr\.io\/distroless\/\S+:nonroot/)
    const copied = [...last.matchAll(/^COPY (?:--\S+ )*(.*) \S+$/gm)].map(([, from]) => from)
    expect(copied).toEqual(['/run/sallyport', '/app/node_modules', '/src/dist', 'package.json LICENSE', 'bin'])
    const allowed = file('.dockerignore')
      .split('\n')
      .filter((line) => line.startsWith('!'))
    expect(file('.dockerignore').split('\n')[0]).toBe('*')
    expect(allowed.filter((line) => /\.git|test|docs|deploy|\.env|helm/.test(line))).toEqual([])
    expect(last).toMatch(/^USER 65532:65532$/m)
    expect(last).not.toMatch(/--inspect|NODE_DEBUG|DEBUG=|LOG_LEVEL/)
    expect(last).toContain('NODE_ENV=production')
  })
})
