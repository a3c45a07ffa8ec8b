import { execFileSync } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { mkdir, mkdtemp, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { judgePair } from '../../../src/credentials/certificate.ts'
import { assertionFileSource } from '../../../src/credentials/source-assertion-file.ts'
import { certificateDirSource, certificateFileSource } from '../../../src/credentials/source-certificate-file.ts'
import { secretFileSource } from '../../../src/credentials/source-secret-file.ts'
import type { Credential } from '../../../src/domain/credential.ts'
import { instant } from '../../../src/kernel/time.ts'
import { manualClock } from '../../harness/clock.ts'
import { credentialSet, digestName } from '../../harness/credential-set.ts'
import type { TestSet } from '../../harness/credential-set.ts'
import { selfSigned } from '../../harness/self-signed.ts'
import type { SelfSigned } from '../../harness/self-signed.ts'

const DAY = 86_400_000
const now = instant(Date.now())
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sallyport-credential-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const older = (): SelfSigned => selfSigned({ kind: 'ec', notBefore: new Date(now - 2 * DAY) })
const newer = (): SelfSigned => selfSigned({ kind: 'ec' })
const put = async (name: string, pair: SelfSigned): Promise<void> => {
  await writeFile(join(dir, `${name}.crt`), pair.certificate)
  await writeFile(join(dir, `${name}.key`), pair.key)
}
const nameOf = (credential: Credential | undefined): string =>
  credential && 'thumbprint' in credential ? credential.thumbprint : (credential?.kind ?? 'none')
const tried = ({ set }: TestSet): readonly string[] => [set.current(), ...set.fallbacks()].filter((one) => one !== undefined).map(nameOf)
const faults = ({ set }: TestSet): readonly string[] => set.overview().faults.map(({ fault }) => fault)
const at = () => manualClock(now)

describe('a pair', () => {
  const rsa = selfSigned()
  const ec = selfSigned({ kind: 'ec' })
  it.each([
    ['of an RSA key', rsa.certificate, rsa.key, 'PS256'],
    ['of a P-256 key', ec.certificate, ec.key, 'ES256'],
    ['with a PKCS#1 key', rsa.certificate, rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(), 'PS256'],
    ['with a SEC1 key', ec.certificate, ec.privateKey.export({ type: 'sec1', format: 'pem' }).toString(), 'ES256'],
    ['with its chain below it', `${rsa.certificate}${ec.certificate}`, rsa.key, 'PS256'],
  ])('%s is usable', (_name, certificate, key, algorithm) => {
    expect(judgePair(certificate, key, 'tls.crt', now)).toMatchObject({ kind: 'usable', credential: { algorithm } })
  })
  it('carries the thumbprint the provider knows it by', () => {
    expect(judgePair(rsa.certificate, rsa.key, 'tls.crt', now)).toMatchObject({ credential: { thumbprint: rsa.thumbprint } })
  })
  it.each<[string, string, string, string]>([
    ['another key', rsa.certificate, ec.key, 'key-mismatch'],
    ['another key of the same kind', rsa.certificate, selfSigned().key, 'key-mismatch'],
    ['a half-written certificate', rsa.certificate.slice(0, 400), rsa.key, 'certificate-unreadable'],
    ['a half-written chain', `${rsa.certificate}${ec.certificate.slice(0, 200)}`, rsa.key, 'certificate-unreadable'],
    ['a chain whose next line was begun', `${rsa.certificate}${ec.certificate.slice(0, 8)}`, rsa.key, 'certificate-unreadable'],
    ['a half-written key', rsa.certificate, rsa.key.slice(0, 400), 'key-unreadable'],
    ['no key yet', rsa.certificate, '', 'key-unreadable'],
    ['no certificate yet', '', rsa.key, 'certificate-unreadable'],
    ['a PKCS#12 file in its place', '0\u0082\u0009\u0002\u0001\u00030', rsa.key, 'pkcs12'],
  ])('with %s is not usable', (_name, certificate, key, fault) => {
    expect(judgePair(certificate, key, 'tls.crt', now)).toEqual({ kind: 'unusable', fault })
  })
  it.each([
    [selfSigned({ kind: 'rsa-1024' }), 'key-weak'],
    [selfSigned({ kind: 'ec-384' }), 'key-unsupported'],
    [selfSigned({ notBefore: new Date(now + DAY) }), 'not-yet-valid'],
    [selfSigned({ notAfter: new Date(now - 1000) }), 'expired'],
  ])('%# is refused', (pair: SelfSigned, fault) => {
    expect(judgePair(pair.certificate, pair.key, 'tls.crt', now)).toEqual({ kind: 'unusable', fault })
  })
})

describe('a folder of certificates', () => {
  const open = (settings = {}) => credentialSet([certificateDirSource({ dir, method: 'private_key_jwt' })], { clock: at(), settings })

  it('yields every pair in it, each once', async () => {
    const pairs = [older(), newer()]
    await put('old', pairs[0] as SelfSigned)
    await put('new', pairs[1] as SelfSigned)
    await put('again', pairs[1] as SelfSigned)
    expect(tried(await open())).toEqual(pairs.map(({ thumbprint }) => thumbprint))
  })
  it('never takes a half-written pair, and takes it once it is whole', async () => {
    const [old, next] = [older(), newer()]
    await put('tls', old)
    const test = await open()
    await writeFile(join(dir, 'tls.crt'), next.certificate) // its key is still the old one
    await test.set.reload()
    expect([tried(test), faults(test)]).toEqual([[old.thumbprint], ['key-mismatch']])
    await writeFile(join(dir, 'tls.key'), next.key)
    await test.set.reload()
    expect([tried(test), faults(test)]).toEqual([[old.thumbprint, next.thumbprint], []])
  })
  // The certificate and its key are whole in it: the one in use would be presented with half a chain.
  it.each(['private_key_jwt', 'tls_client_auth'] as const)(
    'never takes half a chain in the place of the one in use (%s)',
    async (method) => {
      const [old, above] = [older(), newer()]
      const whole = `${old.certificate}${above.certificate}`
      await put('tls', { ...old, certificate: whole })
      const { set } = await credentialSet([certificateDirSource({ dir, method })], { clock: at() })
      const before = set.current()
      await writeFile(join(dir, 'tls.crt'), whole.slice(0, -100))
      await set.reload()
      expect(set.current()).toBe(before)
      expect(set.overview().faults.map(({ fault }) => fault)).toEqual(['certificate-unreadable'])
      await writeFile(join(dir, 'tls.crt'), whole)
      await set.reload()
      expect([set.current(), set.overview().faults]).toEqual([before, []])
    },
  )
  it.each<[string, () => Promise<void>]>([
    ['its files', () => rm(join(dir, 'tls.crt'))],
    ['the whole folder', () => rename(dir, `${dir}-gone`)],
  ])('keeps what it has when %s disappear', async (_name, damage) => {
    const pair = newer()
    await put('tls', pair)
    const test = await open()
    await damage()
    await test.set.reload()
    expect([tried(test), test.set.overview().credentials[0]?.lostByRestart]).toEqual([[pair.thumbprint], true])
    await rm(`${dir}-gone`, { recursive: true, force: true })
  })
  it('follows the symlink swap of a Kubernetes mount, one pair at a time', async () => {
    const [old, next] = [older(), newer()]
    for (const [name, pair] of [
      ['v1', old],
      ['v2', next],
    ] as const) {
      await mkdir(join(dir, `..${name}`))
      await writeFile(join(dir, `..${name}`, 'tls.crt'), pair.certificate)
      await writeFile(join(dir, `..${name}`, 'tls.key'), pair.key)
    }
    await symlink('..v1', join(dir, '..data'))
    for (const file of ['tls.crt', 'tls.key']) await symlink(join('..data', file), join(dir, file))
    const test = await open()
    await symlink('..v2', join(dir, '..data_tmp'))
    await rename(join(dir, '..data_tmp'), join(dir, '..data'))
    await test.set.reload()
    expect(tried(test)).toEqual([old.thumbprint, next.thumbprint])
    expect(test.set.overview().credentials.map(({ lostByRestart }) => lostByRestart)).toEqual([true, false])
  })
  // The key of one version and the certificate of the next: a fault was told that there never was, and a candidate began anew.
  it('never mixes two versions of a mount that is swapped while it is read', async () => {
    for (const [name, pair] of [
      ['v1', older()],
      ['v2', newer()],
    ] as const) {
      await mkdir(join(dir, `..${name}`))
      await writeFile(join(dir, `..${name}`, 'tls.crt'), pair.certificate)
      await writeFile(join(dir, `..${name}`, 'tls.key'), pair.key)
    }
    await symlink('..v1', join(dir, '..data'))
    for (const file of ['tls.crt', 'tls.key']) await symlink(join('..data', file), join(dir, file))
    const sources = [
      certificateDirSource({ dir, method: 'private_key_jwt' }),
      certificateFileSource({ certificateFile: join(dir, 'tls.crt'), privateKeyFile: join(dir, 'tls.key'), method: 'private_key_jwt' }),
    ]
    let isOver = false
    const swapping = (async () => {
      for (let n = 0; !isOver; n += 1) {
        await symlink(n % 2 === 0 ? '..v2' : '..v1', join(dir, '..data_tmp'))
        await rename(join(dir, '..data_tmp'), join(dir, '..data'))
        await setTimeout(1)
      }
    })()
    const told = new Set<string>()
    for (let n = 0; n < 300; n += 1) for (const source of sources) for (const { fault } of (await source.look()).faults) told.add(fault)
    isOver = true
    await swapping
    expect(told).not.toContain('key-mismatch')
  })
  it('says of each file what is wrong with it and what to do, once, and quotes none', async () => {
    await writeFile(join(dir, 'a.crt'), 'canary')
    await writeFile(join(dir, 'b.p12'), 'canary')
    await writeFile(join(dir, 'c.crt'), selfSigned({ kind: 'ec' }).certificate)
    const test = await open()
    for (let n = 0; n < 3; n += 1) await test.set.reload()
    expect(faults(test)).toEqual(['certificate-unreadable', 'pkcs12', 'key-unreadable'])
    expect(test.lines.map(({ facts }) => facts.file)).toEqual(['a.crt', 'b.p12', 'c.crt'])
    expect(test.set.overview().faults.find(({ fault }) => fault === 'pkcs12')?.message).toContain(
      'openssl pkcs12 -in FILE -clcerts -nokeys -out tls.crt',
    )
    expect(JSON.stringify(test.lines)).not.toContain('canary')
    expect([test.set.isReady(), test.set.current()]).toEqual([false, undefined])
  })
  it('opens an encrypted key with the passphrase of a file, and says which of the two is missing', async () => {
    const pair = selfSigned()
    const key = createPrivateKey(pair.key)
      .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'correct horse' })
      .toString()
    await put('tls', { ...pair, key })
    const passphraseFile = join(dir, 'passphrase')
    const test = (file: string | undefined) =>
      credentialSet([certificateDirSource({ dir, method: 'private_key_jwt', passphraseFile: file })], { clock: at() })
    expect(faults(await test(undefined))).toEqual(['key-encrypted'])
    await writeFile(passphraseFile, 'wrong horse\n')
    expect(faults(await test(passphraseFile))).toEqual(['passphrase-wrong'])
    await writeFile(passphraseFile, 'correct horse\n')
    expect(tried(await test(passphraseFile))).toEqual([pair.thumbprint])
  })
  it('presented in the handshake it is another credential than in an assertion', async () => {
    const pair = newer()
    await put('tls', pair)
    const { set } = await credentialSet([certificateDirSource({ dir, method: 'tls_client_auth' })], { clock: at() })
    expect(set.current()).toMatchObject({ kind: 'tls', thumbprint: pair.thumbprint })
    expect(set.publicKeys()).toEqual([])
  })
})

describe('single files', () => {
  it('certificate and key: a new pair stands by, the old one is said to be lost by a restart', async () => {
    const [old, next] = [older(), newer()]
    const source = certificateFileSource({
      certificateFile: join(dir, 'tls.crt'),
      privateKeyFile: join(dir, 'tls.key'),
      method: 'private_key_jwt',
    })
    await put('tls', old)
    const test = await credentialSet([source], { clock: at() })
    expect(test.set.overview().credentials[0]).toMatchObject({ isUnstaged: true, lostByRestart: false })
    await put('tls', next)
    await test.set.reload()
    expect(tried(test)).toEqual([old.thumbprint, next.thumbprint])
    expect(test.set.overview().credentials[0]).toMatchObject({ lostByRestart: true })
  })
  it('a secret: its successor stands by; neither is named by anything that could be guessed from', async () => {
    const file = join(dir, 'secret')
    await writeFile(file, ' hunter2 \n')
    const test = await credentialSet([secretFileSource(file, 'client_secret_post', digestName)], { clock: at() })
    await writeFile(file, 'hunter3')
    await test.set.reload()
    const secrets = [test.set.current(), ...test.set.fallbacks()].map((one) => (one?.kind === 'secret' ? one.secret.reveal() : ''))
    expect(secrets).toEqual(['hunter2', 'hunter3'])
    await writeFile(file, '')
    await test.set.reload()
    expect([faults(test), tried(test).length]).toEqual([['file-unreadable'], 2])
    expect(test.set.overview().credentials[0]).toMatchObject({ state: 'active', lostByRestart: true })
    expect(JSON.stringify([test.lines, test.set.overview(), [...test.gauges]])).not.toContain('hunter')
  })
})

describe('a federated assertion', () => {
  const jwt = (claims: Record<string, unknown>): string =>
    ['{"alg":"RS256"}', JSON.stringify({ iss: 'https://k8s.example', sub: 'sa', aud: 'api', ...claims }), 's'.repeat(256)]
      .map((part) => Buffer.from(part).toString('base64url'))
      .join('.')
  const ending = (ms: number, more = {}): string => jwt({ exp: Math.round((now + ms) / 1000), ...more })
  const begin = async (text: string) => {
    const file = join(dir, 'token')
    await writeFile(file, text)
    const clock = at()
    const test = await credentialSet([assertionFileSource(file, clock, digestName)], { clock })
    const sent = async (): Promise<string | undefined> => {
      const credential = test.set.current()
      if (credential?.kind !== 'federated') return undefined
      const reading = credential.read()
      // It may sleep a tenth of a second and read once more; when it falls asleep is the file system's affair.
      let isDone = false
      void reading.finally(() => (isDone = true))
      while (!isDone) await clock.advance(10)
      return (await reading)?.reveal()
    }
    return { ...test, file, clock, sent }
  }
  it('is read on every use', async () => {
    const [one, two] = [ending(DAY), ending(2 * DAY)]
    const test = await begin(`${one}\n`)
    expect(await test.sent()).toBe(one)
    await writeFile(test.file, two)
    expect(await test.sent()).toBe(two)
  })
  it.each<[string, (file: string) => Promise<void>]>([
    ['truncated', (file) => writeFile(file, ending(2 * DAY).slice(0, 40))],
    ['truncated in its signature', (file) => writeFile(file, ending(2 * DAY).slice(0, -1))],
    ['emptied', (file) => writeFile(file, '')],
    ['away', (file) => rm(file)],
    ['expired', (file) => writeFile(file, ending(-DAY))],
  ])('that is %s for a while is replaced by the last good one, until that ends', async (_name, damage) => {
    const good = ending(60_000)
    const test = await begin(good)
    await damage(test.file)
    expect(await test.sent()).toBe(good)
    await test.set.reload()
    expect([await test.sent(), test.set.isReady()]).toEqual([good, true])
    await test.clock.advance(62_000)
    await test.set.reload()
    expect([await test.sent(), test.set.isReady()]).toEqual([undefined, false])
    await writeFile(test.file, ending(DAY))
    await test.set.reload()
    expect([await test.sent(), test.set.isReady()]).toEqual([ending(DAY), true])
  })
  // Both went by the file: the one in use was gone at the look of a file that the provider does not know, while it had hours to go.
  it('of another subject does not take the place of the one in use before the provider takes it', async () => {
    const good = ending(60_000)
    const test = await begin(good)
    const [held] = test.set.overview().credentials
    test.set.report(test.set.current() as Credential, { kind: 'accepted' })
    const other = ending(DAY, { sub: 'another' })
    await writeFile(test.file, other)
    expect(await test.sent()).toBe(good)
    await test.set.reload()
    expect([await test.sent(), test.set.overview().credentials.find(({ id }) => id === held?.id)]).toMatchObject([
      good,
      { state: 'active', lostByRestart: true },
    ])
    const [next] = test.set.fallbacks()
    expect(next?.kind === 'federated' && (await next.read())?.reveal()).toBe(other)
    await test.clock.advance(62_000)
    expect(await test.sent()).toBe(undefined) // and the request goes on with the other one
  })
  it('of another subject is another credential; renewed it is the same', async () => {
    const test = await begin(ending(DAY))
    await writeFile(test.file, ending(2 * DAY))
    await test.set.reload()
    expect(test.set.overview().credentials.length).toBe(1)
    await writeFile(test.file, ending(2 * DAY, { sub: 'another' }))
    await test.set.reload()
    expect(test.set.overview().credentials.length).toBe(2)
  })
})

it('the first place of client_auth is preferred, the others stand by in their order', async () => {
  const pair = newer()
  await put('tls', pair)
  await writeFile(join(dir, 'secret'), 'a secret')
  const sources = [
    certificateDirSource({ dir, method: 'private_key_jwt' }),
    secretFileSource(join(dir, 'secret'), 'client_secret_basic', digestName),
  ]
  expect(tried(await credentialSet(sources, { clock: at() }))).toEqual([pair.thumbprint, 'secret'])
  expect(tried(await credentialSet(sources.toReversed(), { clock: at() }))).toEqual(['secret', pair.thumbprint])
})

describe('what lies in a folder by mistake', () => {
  const open = (more = {}) => credentialSet([certificateDirSource({ dir, method: 'private_key_jwt', ...more })], { clock: at() })

  // A pipe nobody writes to held up the look, and with it every withdrawal.
  it.each(['tls.crt', 'tls.key', 'next.crt'])('a pipe named %s holds nothing up', async (name) => {
    const pair = newer()
    await put('tls', pair)
    await rm(join(dir, name), { force: true })
    execFileSync('mkfifo', [join(dir, name)])
    expect(faults(await open())).toHaveLength(1)
  })
  it('a file that never ends is not read to its end', async () => {
    await put('tls', newer())
    await symlink('/dev/zero', join(dir, 'next.crt'))
    await symlink('/dev/zero', join(dir, 'next.key'))
    expect(faults(await open())).toEqual(['certificate-unreadable'])
  })
  it('a file of a gigabyte is not taken into memory', async () => {
    await put('tls', newer())
    await writeFile(join(dir, 'next.crt'), '')
    await truncate(join(dir, 'next.crt'), 1_000_000_000)
    const before = process.memoryUsage().arrayBuffers
    let most = 0
    const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().arrayBuffers)), 1)
    const test = await open()
    clearInterval(timer)
    expect(faults(test)).toEqual(['certificate-unreadable'])
    expect(Math.max(most, process.memoryUsage().arrayBuffers) - before).toBeLessThan(100_000_000)
  })
  it('the authority that cert-manager writes beside the pair is no fault of it', async () => {
    const pair = newer()
    await put('tls', pair)
    await writeFile(join(dir, 'ca.crt'), older().certificate)
    const test = await open()
    const told = test.lines.filter(({ message }) => message.includes('not usable'))
    expect([tried(test), faults(test), told]).toEqual([[pair.thumbprint], [], []])
  })
  it('more pairs than are looked at are told of, not passed over in silence', async () => {
    const pair = newer()
    for (let n = 10; n < 43; n += 1) await put(`at-${n}`, pair)
    expect(faults(await open())).toEqual(['pairs-too-many'])
  })
})

// The thumbprint is the leaf's: what was added below it was never read.
it.each(['private_key_jwt', 'tls_client_auth'] as const)('a chain that is completed later is used (%s)', async (method) => {
  const pair = newer()
  const issuer = older()
  await put('tls', pair)
  const test = await credentialSet([certificateDirSource({ dir, method })], { clock: at() })
  await writeFile(join(dir, 'tls.crt'), `${pair.certificate}${issuer.certificate}`)
  const before = test.set.current()
  await test.set.reload()
  const later = test.set.current()
  expect(
    later?.kind === 'tls' ? later.certificatePem.split('BEGIN CERT').length : later?.kind === 'certificate' && later.chain.length + 1,
  ).toBe(3)
  expect(test.set.overview().credentials.length).toBe(1)
  // A request that is under way still reports by the object it began with.
  test.set.report(before as Credential, { kind: 'accepted' })
  expect(test.set.overview().credentials[0]?.acceptedAt).toBe(now)
})
