import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { JsonWebKey } from 'node:crypto'
import { mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { judgeJwk } from '../../../src/credentials/jwk.ts'
import { jwkFileSource } from '../../../src/credentials/source-jwk-file.ts'
import { credentialSet } from '../../harness/credential-set.ts'
import type { TestSet } from '../../harness/credential-set.ts'

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
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-jwk-'))
    file = join(folder, 'client.jwk')
  })
  afterEach(() => rm(folder, { recursive: true }))
  const write = (jwk: unknown): Promise<void> => writeFile(file, typeof jwk === 'string' ? jwk : JSON.stringify(jwk))
  const begin = () => credentialSet([jwkFileSource(file)])
  const kids = ({ set }: TestSet): readonly string[] =>
    [set.current(), ...set.fallbacks()].map((credential) => (credential?.kind === 'jwk' ? credential.kid : '-'))

  it('is read at the start, and its successor stands by as soon as it is there', async () => {
    await write(privateJwk(ec))
    const test = await begin()
    expect(kids(test)).toEqual(['k1'])
    await write(privateJwk(ed, { kid: 'k2' }))
    await test.set.reload()
    expect(kids(test)).toEqual(['k1', 'k2'])
    expect(test.set.overview().credentials.map(({ lostByRestart }) => lostByRestart)).toEqual([true, false])
  })

  it('with another key under the same name is another credential', async () => {
    await write(privateJwk(ec))
    const test = await begin()
    await write(privateJwk(ed))
    await test.set.reload()
    expect(kids(test)).toEqual(['k1', 'k1'])
  })

  it('follows a symbolic link that is swapped, as mounts are', async () => {
    await writeFile(join(folder, 'one'), JSON.stringify(privateJwk(ec)))
    await writeFile(join(folder, 'two'), JSON.stringify(privateJwk(ec, { kid: 'k2' })))
    await symlink('one', file)
    const test = await begin()
    await symlink('two', join(folder, 'next'))
    await rename(join(folder, 'next'), file)
    await test.set.reload()
    expect(kids(test)).toEqual(['k1', 'k2'])
  })

  it.each<[string, unknown, string]>([
    ['half-written', '{"kty":"EC","d":"', 'jwk-unreadable'],
    ['the public half', { ...ec.publicKey.export({ format: 'jwk' }), kid: 'k1' }, 'key-public'],
    ['empty', '', 'file-unreadable'],
    ['of more than a megabyte', ' '.repeat((1 << 20) + 1), 'file-unreadable'],
  ])('that becomes unusable (%s) leaves the key in use, and says so once', async (_name, jwk, code) => {
    await write(privateJwk(ec))
    const test = await begin()
    await write(jwk)
    for (let n = 0; n < 3; n += 1) await test.set.reload()
    expect(kids(test)).toEqual(['k1'])
    expect(test.lines.filter(({ level }) => level === 'warn').map(({ facts }) => facts.code)).toEqual([code])
  })

  it('never shows its private half: not in logs, not in the public document', async () => {
    const jwk = privateJwk(ec)
    await write(jwk)
    const test = await begin()
    await write(JSON.stringify(jwk).slice(0, -9))
    await test.set.reload()
    const told = JSON.stringify([test.lines, test.set.publicKeys(), [...((await test.board.read()) as Map<string, string>)]])
    expect(told).not.toContain(jwk.d)
    expect(test.set.publicKeys()).toEqual([{ ...ec.publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'ES256' }])
  })
})
