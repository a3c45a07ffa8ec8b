import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { judgeJwk } from '../../../src/credentials/jwk.ts'
import { startJwkFileSource, type JwkFileSource } from '../../../src/credentials/source-jwk-file.ts'
import { manualClock } from '../../harness/clock.ts'
import { expectNoLeak } from '../../harness/canary.ts'
import { recordingLog } from '../../harness/provider-room.ts'

type Pair = ReturnType<typeof generateKeyPairSync>
const privateJwk = (pair: Pair, more: Record<string, unknown> = {}): JsonWebKey => ({
  ...pair.privateKey.export({ format: 'jwk' }),
  kid: 'k1',
  ...more,
})
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const ed = generateKeyPairSync('ed25519')
const judge = (jwk: unknown) => judgeJwk(typeof jwk === 'string' ? jwk : JSON.stringify(jwk), 'client.jwk')

describe('a JWK', () => {
  it.each<[string, JsonWebKey, string]>([
    ['RSA without alg', privateJwk(rsa), 'PS256'],
    ['RSA, PS256', privateJwk(rsa, { alg: 'PS256' }), 'PS256'],
    ['RSA that says RS256 of itself', privateJwk(rsa, { alg: 'RS256' }), 'RS256'],
    ['P-256', privateJwk(ec), 'ES256'],
    ['P-256, ES256, for signing', privateJwk(ec, { alg: 'ES256', use: 'sig', key_ops: ['sign'] }), 'ES256'],
    ['Ed25519', privateJwk(ed), 'EdDSA'],
    ['Ed25519 by its name of RFC 9864', privateJwk(ed, { alg: 'Ed25519' }), 'EdDSA'],
  ])('%s is usable, under its own kid', (_name, jwk, algorithm) => {
    expect(judge(jwk)).toMatchObject({ kind: 'usable', credential: { kind: 'jwk', algorithm, kid: 'k1' } })
  })

  it.each<[string, unknown, string]>([
    ['half-written', JSON.stringify(privateJwk(ec)).slice(0, 80), 'jwk-unreadable'],
    ['empty', '', 'jwk-unreadable'],
    ['an array', [privateJwk(ec)], 'jwk-unreadable'],
    ['null', 'null', 'jwk-unreadable'],
    ['a set', { keys: [privateJwk(ec)] }, 'jwk-set'],
    ['a symmetric key', { kty: 'oct', k: randomBytes(32).toString('base64url'), alg: 'HS256', kid: 'k1' }, 'key-symmetric'],
    ['the public half only', { ...ec.publicKey.export({ format: 'jwk' }), kid: 'k1' }, 'key-public'],
    ['for encryption', privateJwk(rsa, { use: 'enc' }), 'key-not-for-signing'],
    ['for verifying only', privateJwk(ec, { key_ops: ['verify'] }), 'key-not-for-signing'],
    ['not a key at all', { kty: 'EC', d: 'x', kid: 'k1' }, 'key-unreadable'],
    ['of 1024 bits', privateJwk(generateKeyPairSync('rsa', { modulusLength: 1024 })), 'key-weak'],
    ['on P-384', privateJwk(generateKeyPairSync('ec', { namedCurve: 'P-384' })), 'key-unsupported'],
    ['on secp256k1', privateJwk(generateKeyPairSync('ec', { namedCurve: 'secp256k1' })), 'key-unsupported'],
    ['for key agreement', privateJwk(generateKeyPairSync('x25519')), 'key-unusable'],
    ['RSA for another algorithm', privateJwk(rsa, { alg: 'RS512' }), 'algorithm-mismatch'],
    ['RSA that says HS256', privateJwk(rsa, { alg: 'HS256' }), 'algorithm-mismatch'],
    ['RSA that says none', privateJwk(rsa, { alg: 'none' }), 'algorithm-mismatch'],
    ['P-256 that says RS256', privateJwk(ec, { alg: 'RS256' }), 'algorithm-mismatch'],
    ['without kid', privateJwk(ec, { kid: undefined }), 'kid-absent'],
    ['with a kid that would break a log line', privateJwk(ec, { kid: 'a\nb' }), 'kid-absent'],
    ['with an empty kid', privateJwk(ec, { kid: '' }), 'kid-absent'],
  ])('%s is refused by name', (_name, jwk, fault) => {
    const judged = judge(jwk)
    expect(judged.kind).toBe('unusable')
    // Which of the two is said of X25519 is Node's affair: it imports, and cannot sign.
    if (fault === 'key-unusable') expect(judged).toMatchObject({ fault: expect.stringMatching(/^key-(mismatch|unsupported)$/) as string })
    else expect(judged).toEqual({ kind: 'unusable', fault })
  })

  it('with the public half of another key is refused: the provider would be told the wrong one', () => {
    const { x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
    expect(judge(privateJwk(ec, { x, y }))).toMatchObject({
      kind: 'unusable',
      fault: expect.stringMatching(/^key-(mismatch|unreadable)$/) as string,
    })
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })
    expect(judge(privateJwk(rsa, { n: other.n }))).toMatchObject({ kind: 'unusable' })
    const edOther = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
    expect(judge(privateJwk(ed, { x: edOther.x }))).toMatchObject({ kind: 'unusable' })
  })
})

describe('a JWK file', () => {
  let folder: string
  let file: string
  let source: JwkFileSource | undefined
  const { log, lines } = recordingLog()
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-jwk-'))
    file = join(folder, 'client.jwk')
    lines.length = 0
  })
  afterEach(async () => {
    source?.stop()
    await rm(folder, { recursive: true })
  })
  const write = (jwk: unknown): Promise<void> => writeFile(file, typeof jwk === 'string' ? jwk : JSON.stringify(jwk))
  const begin = async (clock = manualClock()): Promise<JwkFileSource> => (source = await startJwkFileSource({ file, clock, log }))
  const kid = (): string | undefined => {
    const credential = source?.current()
    return credential?.kind === 'jwk' ? credential.kid : undefined
  }

  it('is read at the start and again when it changed, by its own clock', async () => {
    const clock = manualClock()
    await write(privateJwk(ec))
    await begin(clock)
    expect(kid()).toBe('k1')
    await write(privateJwk(ed, { kid: 'k2' }))
    await clock.advance(10_000)
    await source?.reload() // whatever the file system was slow with
    expect(kid()).toBe('k2')
    expect(lines.map(({ message }) => message)).toEqual(['client key loaded', 'client key loaded'])
  })

  it('follows a symbolic link that is swapped, as mounts are', async () => {
    await writeFile(join(folder, 'one'), JSON.stringify(privateJwk(ec)))
    await writeFile(join(folder, 'two'), JSON.stringify(privateJwk(ec, { kid: 'k2' })))
    await symlink('one', file)
    await begin()
    await symlink('two', join(folder, 'next'))
    await rename(join(folder, 'next'), file)
    await source?.reload()
    expect(kid()).toBe('k2')
  })

  it.each<[string, unknown, string]>([
    ['half-written', '{"kty":"EC","d":"', 'jwk-unreadable'],
    ['the public half', { ...ec.publicKey.export({ format: 'jwk' }), kid: 'k1' }, 'key-public'],
    ['empty', '', 'jwk-unreadable'],
    ['of a megabyte', ' '.repeat(1 << 20), 'file-unreadable'],
  ])('that becomes unusable (%s) leaves the key in use, and says so once', async (_name, jwk, code) => {
    await write(privateJwk(ec))
    await begin()
    lines.length = 0
    await write(jwk)
    for (let n = 0; n < 3; n += 1) await source?.reload()
    expect(kid()).toBe('k1')
    expect(lines).toMatchObject([{ level: 'warn', facts: { file, code, hint: 'the last one read stays in use' } }])
    await write(privateJwk(ec, { kid: 'k3' }))
    await source?.reload()
    expect(kid()).toBe('k3')
  })

  it('that is not there yet yields no credential, and does when it comes', async () => {
    await begin()
    expect(source?.current()).toBeUndefined()
    expect(lines).toMatchObject([{ level: 'warn', facts: { code: 'file-unreadable' } }])
    await write(privateJwk(ec))
    await source?.reload()
    expect(kid()).toBe('k1')
    await rm(file)
    await source?.reload()
    expect(kid()).toBe('k1')
    await write(privateJwk(ec))
    await source?.reload()
    expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(2)
  })

  it('tells no part of the key to the log', async () => {
    const jwk = privateJwk(rsa)
    await write(jwk)
    await begin()
    await write({ ...jwk, alg: 'RS512' })
    await source?.reload()
    await write(`${JSON.stringify(jwk)}]`)
    await source?.reload()
    const secrets = [jwk.d, jwk.p, jwk.q].map((part) => String(part).slice(0, 60))
    expectNoLeak(secrets, { log: JSON.stringify(lines) })
  })
})
