import { mkdtemp, rename, rm, symlink, writeFile, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { judgePair, newest } from '../../../src/credentials/certificate.ts'
import { firstOf, secretSource } from '../../../src/credentials/source-secret.ts'
import { startFileSource } from '../../../src/credentials/source-file.ts'
import type { FileSource } from '../../../src/credentials/source-file.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { instant, minutes } from '../../../src/kernel/time.ts'
import { movableClock, recordingLog } from '../../harness/provider-room.ts'
import type { LogLine, MovableClock } from '../../harness/provider-room.ts'
import { selfSigned } from '../../harness/self-signed.ts'
import type { SelfSigned } from '../../harness/self-signed.ts'

const DAY = 86_400_000
const now = instant(Date.now())

describe('a pair', () => {
  const rsa = selfSigned()
  const ec = selfSigned({ kind: 'ec' })
  it.each([
    ['of an RSA key', rsa.certificate, rsa.key, 'PS256'],
    ['of a P-256 key', ec.certificate, ec.key, 'ES256'],
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
    ['a half-written key', rsa.certificate, rsa.key.slice(0, 400), 'key-unreadable'],
    ['no key yet', rsa.certificate, '', 'key-unreadable'],
    ['no certificate yet', '', rsa.key, 'certificate-unreadable'],
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
  it('of several the one that starts last is the newest', () => {
    const judged = [3, 1, 2].map((days) => {
      const pair = selfSigned({ kind: 'ec', notBefore: new Date(now - days * DAY) })
      const result = judgePair(pair.certificate, pair.key, `${days}.crt`, now)
      return result.kind === 'usable' ? [result.credential] : []
    })
    expect(newest(judged.flat())?.file).toBe('1.crt')
    expect(newest([])).toBeUndefined()
  })
})

describe('a certificate directory', () => {
  let dir: string
  let source: FileSource | undefined
  let clock: MovableClock
  let lines: LogLine[]
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-credential-'))
    clock = movableClock()
  })
  afterEach(async () => {
    source?.stop()
    await rm(dir, { recursive: true })
  })
  const start = async (): Promise<FileSource> => {
    const recorded = recordingLog()
    lines = recorded.lines
    source = await startFileSource({ dir, clock, log: recorded.log, every: minutes(60) })
    return source
  }
  const put = async (name: string, pair: SelfSigned): Promise<void> => {
    await writeFile(join(dir, `${name}.crt`), pair.certificate)
    await writeFile(join(dir, `${name}.key`), pair.key)
  }
  const active = (): string | undefined => {
    const credential = source?.current()
    return credential?.kind === 'certificate' ? credential.thumbprint : undefined
  }

  it('yields its newest pair and takes a newer one up without a restart', async () => {
    const [old, next] = [selfSigned({ kind: 'ec', notBefore: new Date(now - 2 * DAY) }), selfSigned({ kind: 'ec' })]
    await put('tls', old)
    await start()
    expect(active()).toBe(old.thumbprint)
    await put('next', next)
    await source?.reload()
    expect(active()).toBe(next.thumbprint)
  })
  it('never swaps to a half-written pair, and takes it once it is whole', async () => {
    const [old, next] = [selfSigned({ kind: 'ec', notBefore: new Date(now - 2 * DAY) }), selfSigned({ kind: 'ec' })]
    await put('tls', old)
    await start()
    await writeFile(join(dir, 'tls.crt'), next.certificate) // its key is still the old one
    await source?.reload()
    expect(active()).toBe(old.thumbprint)
    expect(lines.some(({ facts }) => facts.code === 'key-mismatch')).toBe(true)
    await writeFile(join(dir, 'tls.key'), next.key)
    await source?.reload()
    expect(active()).toBe(next.thumbprint)
  })
  it('keeps what it has when the files, or the directory, disappear', async () => {
    const pair = selfSigned({ kind: 'ec' })
    await put('tls', pair)
    await start()
    await rm(join(dir, 'tls.crt'))
    await source?.reload()
    await rename(dir, `${dir}-gone`)
    await source?.reload()
    await rename(`${dir}-gone`, dir)
    expect(active()).toBe(pair.thumbprint)
  })
  it.each<[string, () => Promise<void>]>([
    ['is half-written', () => writeFile(join(dir, 'next.key'), 'half')],
    ['disappears', () => rm(join(dir, 'next.crt'))],
  ])('never falls back to an older pair because the one in use %s', async (_name, damage) => {
    const [old, next] = [selfSigned({ kind: 'ec', notBefore: new Date(now - 2 * DAY) }), selfSigned({ kind: 'ec' })]
    await put('tls', old)
    await put('next', next)
    await start()
    expect(active()).toBe(next.thumbprint)
    await damage()
    await source?.reload()
    expect(active()).toBe(next.thumbprint)
    await put('next', next)
    await source?.reload()
    expect(active()).toBe(next.thumbprint)
  })
  it('goes back to an older pair that was put in the place of the one in use, or when that one expires', async () => {
    const [old, next] = [selfSigned({ kind: 'ec', notBefore: new Date(now - 2 * DAY) }), selfSigned({ kind: 'ec' })]
    await put('tls', next)
    await start()
    await put('tls', old)
    await source?.reload()
    expect(active()).toBe(old.thumbprint)
    const brief = selfSigned({ kind: 'ec', notAfter: new Date(now + DAY) })
    await put('brief', brief)
    await source?.reload()
    expect(active()).toBe(brief.thumbprint)
    await rm(join(dir, 'brief.crt'))
    clock.advance(2 * DAY)
    await source?.reload()
    expect(active()).toBe(old.thumbprint)
  })
  it('follows the symlink swap of a Kubernetes mount', async () => {
    const [old, next] = [selfSigned({ kind: 'ec', notBefore: new Date(now - 2 * DAY) }), selfSigned({ kind: 'ec' })]
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
    await start()
    expect(active()).toBe(old.thumbprint)
    await symlink('..v2', join(dir, '..data_tmp'))
    await rename(join(dir, '..data_tmp'), join(dir, '..data'))
    await source?.reload()
    expect(active()).toBe(next.thumbprint)
  })
  it('warns once about a broken pair and never quotes it', async () => {
    await writeFile(join(dir, 'tls.crt'), 'canary')
    await start()
    await source?.reload()
    expect(lines).toEqual([
      { level: 'warn', facts: { file: 'tls.crt', code: 'certificate-unreadable' }, message: 'client certificate not usable' },
    ])
    expect(active()).toBeUndefined()
  })
  it('takes up a pair whose time has come although no file changed', async () => {
    const pair = selfSigned({ kind: 'ec', notBefore: new Date(Date.now() + DAY) })
    await put('tls', pair)
    await start()
    expect(active()).toBeUndefined()
    clock.advance(2 * DAY)
    await source?.reload()
    expect(active()).toBe(pair.thumbprint)
  })
  it('looks again by itself', async () => {
    source = await startFileSource({ dir, clock, log: recordingLog().log, every: minutes(0.001) })
    const pair = selfSigned({ kind: 'ec' })
    await put('tls', pair)
    await expect.poll(active, { timeout: 10_000 }).toBe(pair.thumbprint)
  })
})

it('the first source that has something is used', () => {
  const secret = secretSource(Secret.of('client-secret', 's'), 'client_secret_post')
  expect(firstOf([{ current: () => undefined }, secret]).current()).toMatchObject({ kind: 'secret', method: 'client_secret_post' })
  expect(firstOf([]).current()).toBeUndefined()
})
